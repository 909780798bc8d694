#include "bench_topic.h"

#include <fmt/format.h>

#include <random>

namespace millrace::cli {

std::unique_ptr<BenchTopic> BenchTopic::open(const Client& client,
                                             const BenchArguments& arguments) {
  Admin admin(client);
  const bool is_own = arguments.topic.empty();
  const std::string name =
      is_own ? fmt::format("bench-{:08x}", std::random_device{}()) : arguments.topic;
  auto topic = is_own ? admin.create_topic(name, arguments.partitions) : admin.describe_topic(name);
  if (!topic) {
    report(fmt::format("cannot use topic {}", name), topic.error());
    return nullptr;
  }
  return std::unique_ptr<BenchTopic>(new BenchTopic(client, std::move(*topic), is_own));
}

BenchTopic::~BenchTopic() {
  if (!is_own_) return;
  if (const auto done = Admin(client_).delete_topic(name()); !done)
    report(fmt::format("cannot delete topic {}", name()), done.error());
}

}  // namespace millrace::cli
