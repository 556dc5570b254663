// A Classifier runs a trained model: batch norm folded, weights packed, const and safe to call from many threads at
// once.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <resnet/core/row_view.hpp>
#include <resnet/engine/inference.hpp>
#include <resnet/model.hpp>
#include <resnet/predictions.hpp>

namespace resnet::inline v0 {

struct ClassifierOptions {
    /// How many images a call usually brings: kernels are chosen for it, and memory is there from the start. Any number
    /// works.
    Index batch = 128;  // at least 1
    /// The images' extent; {0, 0}: the network's usual one.
    Extent image{};
    /// Logits are the mean over each image and its mirror image: often more accurate, for twice the time. Embeddings
    /// are the image's alone.
    bool mirrored = false;
    PlanOptions plan{};
};

/// A row of numbers for each image of a batch, row-major [N][columns]. They stay valid as long as this object, which
/// holds memory of its Classifier and must not outlive it: `predicted_class(classify(images)[0])` is right,
/// `const auto row = classify(images)[0];` refers to what is gone. Movable only.
template <class Scalar>
class Rows {
public:
    using Memory = typename InferenceEngine<Scalar>::Lease;

    Rows(Memory memory, Index images, Index columns)
        : memory_{std::move(memory)},
          view_{{memory_->result.data(), static_cast<std::size_t>(images * columns)}, columns} {}

    Index images() const noexcept { return view_.images(); }
    std::span<const Scalar> values() const noexcept { return view_.values(); }
    operator std::span<const Scalar>() const& noexcept { return values(); }  // NOLINT(google-explicit-constructor)
    operator std::span<const Scalar>() const&& = delete;  // it would refer to memory that the next call writes
    /// The numbers of one image.
    std::span<const Scalar> operator[](Index image) const noexcept { return view_[image]; }

protected:
    Index columns() const noexcept { return view_.columns(); }

private:
    Memory memory_;
    RowView<Scalar> view_;
};

/// One column a class. predictions.hpp makes probabilities and the likeliest classes of logits[n].
template <class Scalar>
class Logits : public Rows<Scalar> {
public:
    using Rows<Scalar>::Rows;
    Index classes() const noexcept { return this->columns(); }
};

/// One column a feature.
template <class Scalar>
class Embeddings : public Rows<Scalar> {
public:
    using Rows<Scalar>::Rows;
    Index features() const noexcept { return this->columns(); }
};

namespace detail {
template <class Net>
constexpr bool ends_in_linear_layer() {
    return trace<Net>(Net::image).last_linear() >= 0;
}
}  // namespace detail

/// The logits come out of a linear layer, at most with constant factors, relu and gelu behind it: what it reads is the
/// embedding.
template <class Net>
concept output_is_a_linear_layer = detail::ends_in_linear_layer<Net>();

/// A snapshot of a model, ready to run. An image's logits depend neither on its neighbours in the batch nor on the
/// number of threads. (They may differ in the last digits between Classifiers with other options: kernels are chosen by
/// the batch that is expected.)
///
///     const resnet::Classifier classify{model};
///     const auto logits = classify(images);                            // logits[n] is a span of classes
///     const auto best = resnet::top_k(resnet::softmax(logits[0]), 5);  // predictions.hpp
///     const auto embeddings = classify.embed(images);                  // embeddings[n] is a span of features
template <class Net, class Scalar = float>
class Classifier {
public:
    explicit Classifier(const Model<Net, Scalar>& model, const ClassifierOptions& options = {})
        : engine_{std::make_unique<InferenceEngine<Scalar>>(
              model.weights(), trace<Net>(options.image == Extent{} ? Net::image : options.image),
              model.normalization(), plan_options(options))},
          logits_{engine_->logits()} {
        logits_.mirrored = options.mirrored;
        engine_->reserve(options.batch);
    }

    /// Of any number of images, also of none. Throws Error if they are not of the planned extent or not three channels.
    Logits<Scalar> operator()(const ImageView& images) const& {
        return lease<Logits<Scalar>>(images, logits_, observe_nothing);
    }
    Logits<Scalar> operator()(const ImageView& images) const&& = delete;  // they would outlive their Classifier

    /// The same into the caller's memory. Throws Error if `logits` has not N * classes elements.
    void operator()(const ImageView& images, std::span<Scalar> logits) const {
        write(images, logits_, logits, "logits");
    }

    /// What the last linear layer reads, [N][features]: of a flattened map in PyTorch's order, [C][H][W]. The layers
    /// behind it are not computed. PyTorch: the network with nn.Identity() in the place of that layer.
    /// Errors as for logits; does not compile for a network that does not end in a linear layer.
    Embeddings<Scalar> embed(const ImageView& images) const& requires output_is_a_linear_layer<Net> {
        return lease<Embeddings<Scalar>>(images, engine_->embedding(), observe_nothing);
    }
    Embeddings<Scalar> embed(const ImageView& images) const&& requires output_is_a_linear_layer<Net>
    = delete;

    /// The same into the caller's memory. Throws Error if `embeddings` has not N * features elements.
    void embed(const ImageView& images, std::span<Scalar> embeddings) const requires output_is_a_linear_layer<Net> {
        write(images, engine_->embedding(), embeddings, "embeddings");
    }

    /// Takes the model's present weights; they are packed where the old ones were, which calls read: none may run
    /// meanwhile. Copies that it needs on the way are in no count of bytes. After std::bad_alloc all is as it was.
    void refresh(const Model<Net, Scalar>& model) { engine_->refresh(model.weights(), model.normalization()); }

    /// One call with a look at its parts: observe(step of the plan) after each. A large batch passes more than once,
    /// and so do mirrored images.
    void profile(const ImageView& images, const auto& observe) const {
        lease<Logits<Scalar>>(images, logits_, observe);
    }

    const Plan& plan() const noexcept { return engine_->plan(); }
    /// Bytes of the snapshot and of the memory of calls that are over.
    Index bytes() const { return engine_->bytes(); }

private:
    template <class Result>
    Result lease(const ImageView& images, const InferenceOutput& output, const auto& observe) const {
        check_images(images, engine_->extent());
        auto memory = engine_->borrow();
        memory->result.reserve(images.images * output.columns);
        engine_->run(*memory, images, output, memory->result.data(), observe);
        return {std::move(memory), images.images, output.columns};
    }

    void write(const ImageView& images, const InferenceOutput& output, std::span<Scalar> rows,
               std::string_view name) const {
        check_images(images, engine_->extent());
        const Index elements = images.images * output.columns;
        if (static_cast<Index>(rows.size()) != elements)
            throw Error(name, std::to_string(elements) + " elements", std::to_string(rows.size()));
        const auto memory = engine_->borrow();
        engine_->run(*memory, images, output, rows.data(), observe_nothing);
    }

    static PlanOptions plan_options(const ClassifierOptions& options) {
        if (options.batch < 1) throw Error("Classifier", "a batch of at least 1 image", std::to_string(options.batch));
        PlanOptions plan = options.plan;
        plan.choice.images = options.batch;
        return plan;
    }

    std::unique_ptr<InferenceEngine<Scalar>> engine_;
    InferenceOutput logits_;
};

}  // namespace resnet::inline v0
