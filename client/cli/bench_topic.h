// The topic of a bench run: the user's, or one of its own that is deleted at the end.
#pragma once

#include "commands.h"
#include "millrace/admin.h"

#include <memory>
#include <string>

namespace millrace::cli {

class BenchTopic {
 public:
  // Nothing: failed and reported.
  static std::unique_ptr<BenchTopic> open(const Client& client, const BenchArguments& arguments);
  BenchTopic(const BenchTopic&) = delete;
  BenchTopic& operator=(const BenchTopic&) = delete;
  // Deletes its own.
  ~BenchTopic();

  const std::string& name() const { return description_.name; }
  std::uint32_t partitions() const { return description_.partitions; }
  bool is_own() const { return is_own_; }

 private:
  BenchTopic(Client client, TopicDescription description, bool is_own)
      : client_(std::move(client)), description_(std::move(description)), is_own_(is_own) {}
  Client client_;
  TopicDescription description_;
  bool is_own_;
};

}  // namespace millrace::cli
