// Optimizer steps on one range: one read and one write of each array. The equations are PyTorch's (torch.optim, 2.x).

/// Adam (Kingma & Ba 2015, algorithm 1) and AdamW (Loshchilov & Hutter 2019, algorithm 2).
template <class Scalar>
void adam_update(const UpdateJob<Scalar>& job) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    const Scalar rest1 = 1 - job.beta1, rest2 = 1 - job.beta2;
    const Scalar step = job.learning_rate / job.correction1;
    const Scalar decay = job.decoupled ? 1 - job.learning_rate * job.weight_decay : Scalar{1};
    const Scalar l2 = job.decoupled ? Scalar{0} : job.weight_decay;
    // Ranges are padded to whole vectors with zeros, which an update leaves at zero.
    for (Index i = 0; i < job.count; i += lanes) {
        Packet p = load(job.parameter + i) * decay;
        const Packet g = load(job.gradient + i) * job.gradient_scale + p * l2;
        Packet m = load(job.first + i), v = load(job.second + i);
        m += (g - m) * rest1;
        v = v * job.beta2 + g * g * rest2;
        Packet root = v;
        square_root<Scalar>(root);
        p -= step * m / (root / job.correction2_root + job.epsilon);
        store(job.first + i, m);
        store(job.second + i, v);
        store(job.parameter + i, p);
    }
}

/// Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form: the velocity holds no learning
/// rate). The velocity begins at zero, so the first step sets it to the gradient, as PyTorch does.
template <class Scalar>
void sgd_update(const UpdateJob<Scalar>& job) noexcept {
    const Scalar momentum = job.momentum;
    RESNET_INDEPENDENT
    for (Index i = 0; i < job.count; ++i) {
        const Scalar g = job.gradient[i] * job.gradient_scale + job.parameter[i] * job.weight_decay;
        const Scalar velocity = job.first[i] * momentum + g;
        job.first[i] = velocity;
        job.parameter[i] -= job.learning_rate * (job.nesterov ? g + momentum * velocity : velocity);
    }
}

/// Sum of squares: of 64 vectors at a time in Scalar, of those sums in double.
template <class Scalar>
double sum_of_squares(const Scalar* x, Index count) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    constexpr Index group = Index{64} * lanes;
    double total = 0;
    for (Index first = 0; first < count; first += group) {
        Packet sum{};
        const Index last = std::min(count, first + group);
        for (Index i = first; i < last; i += lanes) {
            const Packet v = load(x + i);
            sum += v * v;
        }
        for (int l = 0; l < lanes; ++l) total += static_cast<double>(sum[l]);
    }
    return total;
}
