// A Classifier runs a trained model: batch norm folded, weights packed, const and safe to call from many threads at
// once.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include <resnet/engine/inference.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

struct ClassifierOptions {
    /// How many images a call usually brings: kernels are chosen for it, and memory is there from the start. Any number
    /// works.
    Index batch = 128;
    /// The images' extent; {0, 0}: the network's usual one.
    Extent image{};
    PlanOptions plan{};
};

/// Logits of a batch, row-major [N][classes]. They stay valid as long as this object, which holds memory of its
/// Classifier and must not outlive it. Movable only.
template <class Scalar>
class Logits {
public:
    Logits(const InferenceEngine<Scalar>& engine, std::unique_ptr<InferenceMemory<Scalar>> memory, Index images)
        : engine_{&engine},
          memory_{std::move(memory)},
          images_{images} {}
    Logits(Logits&&) noexcept = default;
    Logits& operator=(Logits&& other) noexcept {
        std::swap(engine_, other.engine_);
        std::swap(memory_, other.memory_);
        std::swap(images_, other.images_);
        return *this;
    }
    ~Logits() {
        if (memory_ != nullptr) engine_->give_back(std::move(memory_));
    }

    Index images() const noexcept { return images_; }
    Index classes() const noexcept { return engine_->classes(); }
    std::span<const Scalar> values() const noexcept {
        return {memory_->logits.data(), static_cast<std::size_t>(images_ * classes())};
    }
    operator std::span<const Scalar>() const noexcept { return values(); }  // NOLINT(google-explicit-constructor)
    /// The logits of one image.
    std::span<const Scalar> operator[](Index image) const noexcept {
        return values().subspan(static_cast<std::size_t>(image * classes()), static_cast<std::size_t>(classes()));
    }

private:
    const InferenceEngine<Scalar>* engine_;
    std::unique_ptr<InferenceMemory<Scalar>> memory_;
    Index images_;
};

/// A snapshot of a model, ready to run. An image's logits depend neither on its neighbours in the batch nor on the
/// number of threads.
///
///     const resnet::Classifier classify{model};
///     const auto logits = classify(images);      // logits[n] is a span of classes
template <class Net, class Scalar = float>
class Classifier {
public:
    explicit Classifier(const Model<Net, Scalar>& model, const ClassifierOptions& options = {})
        : engine_{std::make_unique<InferenceEngine<Scalar>>(
              model.weights(), trace<Net>(options.image == Extent{} ? Net::image : options.image),
              model.normalization(), plan_options(options))} {
        engine_->reserve(options.batch);
    }

    /// Error where the images are not of the planned extent or not three channels.
    Logits<Scalar> operator()(const ImageView& images) const& {
        check_images(images, engine_->extent());
        auto memory = engine_->borrow();
        memory->logits.reserve(images.images * engine_->classes());
        engine_->run(*memory, images, memory->logits.data(), observe_nothing);
        return {*engine_, std::move(memory), images.images};
    }

    Logits<Scalar> operator()(const ImageView& images) const&& = delete;  // they would outlive their Classifier

    /// The same into the caller's memory. Error where `logits` has not N * classes elements.
    void operator()(const ImageView& images, std::span<Scalar> logits) const {
        check_images(images, engine_->extent());
        if (static_cast<Index>(logits.size()) != images.images * engine_->classes())
            throw Error("logits", std::to_string(images.images * engine_->classes()) + " elements",
                        std::to_string(logits.size()));
        auto memory = engine_->borrow();
        engine_->run(*memory, images, logits.data(), observe_nothing);
        engine_->give_back(std::move(memory));
    }

    /// Takes the model's present weights, in the memory that is there. No call may run meanwhile.
    void refresh(const Model<Net, Scalar>& model) { engine_->refresh(model.weights(), model.normalization()); }

    /// One call with a look at its parts: observe(step of the plan) after each. A large batch passes more than once.
    void profile(const ImageView& images, const auto& observe) const {
        auto memory = engine_->borrow();
        memory->logits.reserve(images.images * engine_->classes());
        engine_->run(*memory, images, memory->logits.data(), observe);
        engine_->give_back(std::move(memory));
    }

    const Plan& plan() const noexcept { return engine_->plan(); }
    Index bytes() const { return engine_->bytes(); }

private:
    static PlanOptions plan_options(const ClassifierOptions& options) {
        PlanOptions plan = options.plan;
        plan.choice.images = options.batch;
        return plan;
    }

    std::unique_ptr<InferenceEngine<Scalar>> engine_;
};

}  // namespace resnet::inline v0
