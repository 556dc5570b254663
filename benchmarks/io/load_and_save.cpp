// Loads and saves a model's weights when told to, for compare.py: reads "load FILE" and "save FILE" from its input and
// answers with the milliseconds.
#include <chrono>
#include <iostream>
#include <string>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/io/weights.hpp>

int main() {
    resnet::Model<resnet::CifarResNet18<10>> model{resnet::Seed{1}};
    for (std::string command, path; std::cin >> command >> path;) {
        const auto begin = std::chrono::steady_clock::now();
        command == "load" ? resnet::load(model, path) : resnet::save(model, path);
        const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
        std::cout << time.count() << std::endl;
    }
}
