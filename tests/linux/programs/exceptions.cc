// C++: exceptions through many frames, with destructors; containers, threads and their exceptions.
#include <algorithm>
#include <exception>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static int destroyed;

struct Guard {
    ~Guard() { destroyed++; }
};

static int descend(int depth)
{
    Guard guard;
    if (depth == 0)
        throw std::runtime_error("the bottom");
    return descend(depth - 1) + 1;
}

int main()
{
    for (int depth : {0, 10, 1000}) {
        try {
            descend(depth);
        } catch (const std::exception &error) {
            std::cout << depth << " " << error.what() << " " << destroyed << "\n";
        }
    }
    try {
        try {
            std::vector<int>(3).at(5);
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    } catch (const std::exception &error) {
        std::cout << error.what() << "\n";
        try {
            std::rethrow_if_nested(error);
        } catch (const std::out_of_range &) {
            std::cout << "out of range\n";
        }
    }
    std::map<std::string, long> counts;
    std::mutex lock;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 8; thread++)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < 2000; i++) {
                try {
                    if (i % 100 == 0)
                        throw i;
                    std::lock_guard<std::mutex> hold(lock);
                    counts["even"] += i % 2 == 0;
                } catch (int number) {
                    std::lock_guard<std::mutex> hold(lock);
                    counts["caught by " + std::to_string(thread)] += number;
                }
            }
        });
    for (auto &thread : threads)
        thread.join();
    for (auto &[name, count] : counts)
        std::cout << name << " " << count << "\n";
    auto later = std::async(std::launch::async, [] { return descend(5); });
    try {
        later.get();
    } catch (const std::exception &error) {
        std::cout << "later: " << error.what() << "\n";
    }
    return 7;
}
