#include "storage/base/check.h"
#include "storage/base/units.h"
#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <functional>

namespace millrace::sim {

std::vector<std::string> SimDisk::names(std::string_view directory) const {
  std::vector<std::string> out;
  const auto node = image_.find(directory);
  if (node == nullptr) return out;
  for (const auto& [name, child] : node->names) out.push_back(name);
  return out;
}

const std::vector<std::byte>* SimDisk::durable_file(std::string_view path) const {
  const SimNode* node = image_.root().get();
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto found = node->durable_names.find(std::string(path.substr(0, slash)));
    if (found == node->durable_names.end()) return nullptr;
    node = found->second.get();
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return node->kind == SimNode::Kind::file ? &node->durable : nullptr;
}

const std::vector<std::byte>* SimDisk::live_file(std::string_view path) const {
  const auto node = image_.find(path);
  return node != nullptr && node->kind == SimNode::Kind::file ? &node->live : nullptr;
}

std::string SimDisk::floor_name(std::string_view directory, std::string_view name,
                                std::string_view suffix) const {
  const auto node = image_.find(directory);
  if (node == nullptr) return {};
  for (auto at = node->names.upper_bound(std::string(name)); at != node->names.begin();) {
    --at;
    if (at->second->kind == SimNode::Kind::file && at->first.ends_with(suffix)) return at->first;
  }
  return {};
}

std::vector<std::byte> SimDisk::read_file(std::string_view path) const {
  const auto node = image_.find(path);
  CHECK(node != nullptr && node->kind == SimNode::Kind::file, "no such file: " + std::string(path));
  return node->live;
}

void SimDisk::make_path(std::string_view directory) {
  for (std::size_t at = 0; at < directory.size();) {
    const auto slash = std::min(directory.find('/', at), directory.size());
    const auto prefix = directory.substr(0, slash);
    if (image_.find(prefix) == nullptr) {
      (void)image_.create(prefix, SimNode::Kind::directory);
      image_.settle();
    }
    at = slash + 1;
  }
}

void SimDisk::write_file(std::string_view path, ByteView bytes) {
  if (const auto slash = path.rfind('/'); slash != std::string_view::npos)
    make_path(path.substr(0, slash));
  auto node = image_.find(path);
  if (node == nullptr) node = *image_.create(path, SimNode::Kind::file);
  node->live.assign(bytes.begin(), bytes.end());
  node->blocks.cut(bytes.size());
  node->blocks.add(0, bytes.size());
  image_.settle();
}

SimDisk::Files SimDisk::files() const {
  Files out;
  const std::function<void(const SimNode&, const std::string&)> visit =
      [&](const SimNode& node, const std::string& prefix) {
        for (const auto& [name, child] : node.names) {
          if (child->kind == SimNode::Kind::file) out[prefix + name] = child->live;
          if (child->kind == SimNode::Kind::directory) visit(*child, prefix + name + "/");
        }
      };
  visit(*image_.root(), "");
  return out;
}

void SimDisk::restore(const Files& files) {
  CHECK(open_files() == 0, "files are restored between two runs of a program");
  for (const auto& [path, bytes] : this->files()) (void)image_.remove(path, SimNode::Kind::file);
  for (const auto& [path, bytes] : files) {
    if (const auto slash = path.rfind('/'); slash != std::string::npos) {
      make_path(std::string_view(path).substr(0, slash));
    }
    auto node = image_.create(path, SimNode::Kind::file);
    CHECK(node.has_value(), "the name is free");
    (*node)->live = bytes;
    (*node)->blocks.add(0, bytes.size());
  }
  image_.settle();
}

void SimDisk::make_special(std::string_view path) {
  auto made = image_.create(path, SimNode::Kind::other);
  CHECK(made.has_value(), "the name is free");
  image_.settle();
}

void SimDisk::remove_file(std::string_view path) {
  auto removed = image_.remove(path, SimNode::Kind::file);
  CHECK(removed.has_value(), "no such file: " + std::string(path));
  image_.settle();
}

void SimDisk::rename_file(std::string_view from, std::string_view to) {
  auto renamed = image_.rename(from, to);
  CHECK(renamed.has_value(), "the file is there and the new name can be taken");
  image_.settle();
}

void SimDisk::corrupt(std::string_view path, std::uint64_t position, std::uint8_t bits) {
  const auto node = image_.find(path);
  CHECK(node != nullptr && position < node->live.size(), "the byte is there");
  node->live[position] ^= static_cast<std::byte>(bits);
  image_.settle();
}

void SimDisk::cut_file(std::string_view path, std::uint64_t bytes) {
  const auto node = image_.find(path);
  CHECK(node != nullptr && bytes <= node->live.size(), "the file is longer than that");
  node->live.resize(bytes);
  node->blocks.cut(bytes);
  image_.settle();
}

void SimDisk::make_unreadable(std::string_view path, std::uint64_t begin, std::uint64_t end) {
  const auto node = image_.find(path);
  CHECK(node != nullptr, "no such file: " + std::string(path));
  bad_ranges_.push_back({node, begin, end});
}

}  // namespace millrace::sim
