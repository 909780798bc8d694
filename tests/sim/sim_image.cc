#include "tests/sim/sim_image.h"

#include "storage/base/check.h"
#include "storage/base/units.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace millrace::sim {
namespace {

void put_sector(std::vector<std::byte>& image, std::uint64_t index, const std::byte* bytes) {
  const std::uint64_t begin = index * sector_bytes;
  if (begin >= image.size()) return;
  const std::uint64_t count = std::min<std::uint64_t>(sector_bytes, image.size() - begin);
  std::memcpy(image.data() + begin, bytes, count);
}

std::array<std::byte, sector_bytes> get_sector(const std::vector<std::byte>& image,
                                               std::uint64_t index) {
  std::array<std::byte, sector_bytes> out{};
  const std::uint64_t begin = index * sector_bytes;
  if (begin >= image.size()) return out;
  std::memcpy(out.data(), image.data() + begin,
              std::min<std::uint64_t>(sector_bytes, image.size() - begin));
  return out;
}

}  // namespace

void SimBlocks::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  const std::uint64_t last = (end - 1) / block_bytes;
  if (given_.size() <= last) given_.resize(last + 1);
  for (std::uint64_t b = begin / block_bytes; b <= last; ++b) {
    if (!given_[b]) ++count_;
    given_[b] = true;
  }
}

void SimBlocks::add(const SimBlocks& others) {
  for (std::uint64_t b = 0; b < others.given_.size(); ++b)
    if (others.given_[b]) add(b * block_bytes, (b + 1) * block_bytes);
}

void SimBlocks::cut(std::uint64_t bytes) {
  const std::uint64_t kept = align_up(bytes, block_bytes) / block_bytes;
  for (; given_.size() > kept; given_.pop_back())
    if (given_.back()) --count_;
}

std::uint64_t SimBlocks::missing(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t count = 0;
  for (std::uint64_t b = begin / block_bytes; b * block_bytes < end; ++b)
    if (b >= given_.size() || !given_[b]) ++count;
  return count * block_bytes;
}

std::string CrashPolicy::to_string() const {
  switch (keep) {
    case Keep::none: return "none";
    case Keep::all: return "all";
    case Keep::prefix: return "prefix " + std::to_string(count);
    case Keep::random: return "random";
    case Keep::torn: return "torn";
    case Keep::kill: return "kill";
    case Keep::subset: return "subset " + std::to_string(count);
    case Keep::tear: return "tear " + std::to_string(count);
  }
  UNREACHABLE("a crash policy is one of eight");
}

SimNodePtr SimImage::find(std::string_view path) const {
  SimNodePtr node = root_;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string name(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    CHECK(name != "..", "no path leaves the root");
    const auto found = node->names.find(name);
    if (found == node->names.end()) return nullptr;
    node = found->second;
  }
  return node;
}

SimImage::Place SimImage::place_of(std::string_view path) const {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {root_, std::string(path)};
  auto directory = find(path.substr(0, slash));
  if (directory != nullptr && directory->kind != SimNode::Kind::directory) directory = nullptr;
  return {directory, std::string(path.substr(slash + 1))};
}

void SimImage::note_entry(std::vector<EntryPart> parts) {
  for (const auto& part : parts) {
    if (part.node == nullptr) {
      part.directory->names.erase(part.name);
    } else {
      part.directory->names[part.name] = part.node;
    }
  }
  entries_.push_back({next_order_++, std::move(parts)});
}

Result<SimNodePtr> SimImage::create(std::string_view path, SimNode::Kind kind) {
  const Place place = place_of(path);
  if (place.directory == nullptr) return fail(Errc::not_found, std::string(path));
  if (place.directory->names.contains(place.name)) {
    return fail(Errc::already_exists, std::string(path));
  }
  auto node = std::make_shared<SimNode>(kind);
  note_entry({{place.directory, place.name, node}});
  return node;
}

Result<void> SimImage::remove(std::string_view path, SimNode::Kind kind) {
  const Place place = place_of(path);
  const auto node = find(path);
  if (node == nullptr) return fail(Errc::not_found, std::string(path));
  const bool wants_directory = kind == SimNode::Kind::directory;
  if ((node->kind == SimNode::Kind::directory) != wants_directory || !node->names.empty()) {
    return fail(Errc::storage_error, "cannot remove " + std::string(path));
  }
  note_entry({{place.directory, place.name, nullptr}});
  return {};
}

Result<void> SimImage::rename(std::string_view from, std::string_view to) {
  const Place old_place = place_of(from), new_place = place_of(to);
  const auto node = find(from), replaced = find(to);
  if (node == nullptr || new_place.directory == nullptr) {
    return fail(Errc::not_found, std::string(from) + " -> " + std::string(to));
  }
  if (replaced == node) return {};
  if (replaced != nullptr &&
      (replaced->kind != SimNode::Kind::file || node->kind != replaced->kind)) {
    return fail(Errc::storage_error, "cannot replace " + std::string(to));
  }
  note_entry({{old_place.directory, old_place.name, nullptr},
              {new_place.directory, new_place.name, node}});
  return {};
}

void SimImage::write(SimNode& file, std::uint64_t at, ByteView bytes) {
  if (bytes.empty()) return;
  const std::uint64_t end = at + bytes.size();
  if (end > file.live.size()) {
    file.live.resize(end);
    file.lengths.push_back({next_order_++, end});
  }
  file.blocks.add(at, end);
  std::memcpy(file.live.data() + at, bytes.data(), bytes.size());
  for (std::uint64_t s = at / sector_bytes; s * sector_bytes < end; ++s) {
    file.sectors.push_back({next_order_++, s, get_sector(file.live, s)});
  }
}

void SimImage::set_length(SimNode& file, std::uint64_t bytes) {
  if (bytes == file.live.size()) return;
  file.live.resize(bytes);
  file.blocks.cut(bytes);
  file.lengths.push_back({next_order_++, bytes});
}

// The length is one number: whoever makes the newest durable makes all changes before it durable
// too, and with a cut the end of every older sector behind it.
void SimImage::apply_lengths(SimNode& file) {
  for (const auto& length : file.lengths) {
    if (length.bytes < file.durable.size()) {
      std::erase_if(file.sectors, [&](const SimNode::Sector& s) {
        return s.order < length.order && s.index * sector_bytes >= length.bytes;
      });
    }
    file.durable.resize(length.bytes);
    file.durable_blocks.cut(length.bytes);
  }
  file.lengths.clear();
}

void SimImage::write_through(SimNode& file, std::uint64_t at, ByteView bytes) {
  if (bytes.empty()) return;
  write(file, at, bytes);
  apply_lengths(file);
  const std::uint64_t first = at / sector_bytes;
  const std::uint64_t end = at + bytes.size();
  if (file.durable.size() < end) file.durable.resize(end);
  file.durable_blocks.add(at, end);
  std::erase_if(file.sectors, [&](const SimNode::Sector& s) {
    return s.index >= first && s.index * sector_bytes < end;
  });
  for (std::uint64_t s = first; s * sector_bytes < end; ++s) {
    put_sector(file.durable, s, get_sector(file.live, s).data());
  }
}

void SimImage::sync(SimNode& file) {
  // Item by item, not a copy of what programs see: what a failed sync forgot stays forgotten.
  std::size_t next_length = 0;
  const auto apply_lengths_before = [&](std::uint64_t order) {
    for (; next_length < file.lengths.size() && file.lengths[next_length].order < order;
         ++next_length) {
      file.durable.resize(file.lengths[next_length].bytes);
    }
  };
  for (const auto& sector : file.sectors) {
    apply_lengths_before(sector.order);
    put_sector(file.durable, sector.index, sector.bytes.data());
  }
  apply_lengths_before(UINT64_MAX);
  file.sectors.clear();
  file.lengths.clear();
  file.durable_blocks = file.blocks;
}

void SimImage::sync_directory(const SimNodePtr& directory) {
  directory->durable_names = directory->names;
  for (auto& entry : entries_) {
    std::erase_if(entry.parts, [&](const EntryPart& p) { return p.directory == directory; });
  }
  std::erase_if(entries_, [](const Entry& e) { return e.parts.empty(); });
}

void SimImage::forget_pending(SimNode& file, Random& random) {
  for (const auto& length : file.lengths) {
    if (random.chance(1, 2)) file.durable.resize(length.bytes);
  }
  for (const auto& sector : file.sectors) {
    if (random.chance(1, 2)) put_sector(file.durable, sector.index, sector.bytes.data());
  }
  file.durable_blocks.cut(file.durable.size());
  file.lengths.clear();
  file.sectors.clear();
}

std::vector<SimNodePtr> SimImage::all_nodes() const {
  std::vector<SimNodePtr> nodes{root_};
  std::set<const SimNode*> seen{root_.get()};
  const auto visit = [&](const SimNodePtr& node) {
    if (node != nullptr && seen.insert(node.get()).second) nodes.push_back(node);
  };
  // Order of discovery, never of addresses: a seed repeats its run.
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto node = nodes[i];
    for (const auto& [name, child] : node->names) visit(child);
    for (const auto& [name, child] : node->durable_names) visit(child);
    if (i + 1 == nodes.size()) {
      for (const auto& entry : entries_) {
        for (const auto& part : entry.parts) visit(part.node);
      }
    }
  }
  return nodes;
}

std::vector<std::uint64_t> SimImage::pending_orders(const std::vector<SimNodePtr>& nodes) const {
  std::vector<std::uint64_t> orders;
  for (const auto& entry : entries_) orders.push_back(entry.order);
  for (const auto& node : nodes) {
    for (const auto& sector : node->sectors) orders.push_back(sector.order);
    for (const auto& length : node->lengths) orders.push_back(length.order);
  }
  std::sort(orders.begin(), orders.end());
  return orders;
}

std::uint64_t SimImage::pending_items() const { return pending_orders(all_nodes()).size(); }

std::uint64_t SimImage::pending_sectors() const {
  std::uint64_t count = 0;
  for (const auto& node : all_nodes()) count += node->sectors.size();
  return count;
}

struct SimImage::Choice {
  CrashPolicy policy;
  std::vector<std::uint64_t> orders;  // of all pending items
  std::uint64_t torn_order = 0;       // of the sector that is torn
};

SimImage::Choice SimImage::choose(const CrashPolicy& policy,
                                  const std::vector<SimNodePtr>& nodes) const {
  Choice choice{policy, pending_orders(nodes), 0};
  if (policy.keep != CrashPolicy::Keep::tear) return choice;
  std::vector<std::uint64_t> sectors;
  for (const auto& node : nodes) {
    for (const auto& sector : node->sectors) sectors.push_back(sector.order);
  }
  std::sort(sectors.begin(), sectors.end());
  if (policy.count < sectors.size()) choice.torn_order = sectors[policy.count];
  return choice;
}

bool SimImage::keeps(const Choice& choice, std::uint64_t order, Random& random) {
  const auto place = [&] {
    return static_cast<std::uint64_t>(
        std::lower_bound(choice.orders.begin(), choice.orders.end(), order) -
        choice.orders.begin());
  };
  switch (choice.policy.keep) {
    case CrashPolicy::Keep::none: return false;
    case CrashPolicy::Keep::all:
    case CrashPolicy::Keep::tear: return true;
    case CrashPolicy::Keep::prefix: return place() < choice.policy.count;
    case CrashPolicy::Keep::subset:
      return place() < 64 && (choice.policy.count >> place() & 1) != 0;
    case CrashPolicy::Keep::random:
    case CrashPolicy::Keep::torn: return random.chance(1, 2);
    case CrashPolicy::Keep::kill: break;
  }
  UNREACHABLE("a kill loses nothing");
}

void SimImage::crash_file(SimNode& file, const Choice& choice, Random& random) {
  const bool may_tear = choice.policy.keep == CrashPolicy::Keep::torn;
  const std::uint64_t durable_before = file.durable.size();
  std::vector<std::byte> image = std::move(file.durable);
  // Blocks that were given without a sync stay only if all stays, or with a sector that does.
  using Keep = CrashPolicy::Keep;
  const bool keeps_blocks = choice.policy.keep == Keep::all || choice.policy.keep == Keep::tear;
  SimBlocks blocks = keeps_blocks ? file.blocks : file.durable_blocks;
  // Lengths and sectors in the order in which they were started.
  std::size_t next_length = 0;
  const auto apply_lengths_before = [&](std::uint64_t order) {
    for (; next_length < file.lengths.size() && file.lengths[next_length].order < order;
         ++next_length) {
      if (keeps(choice, file.lengths[next_length].order, random)) {
        image.resize(file.lengths[next_length].bytes);
      }
    }
  };
  for (const auto& sector : file.sectors) {
    apply_lengths_before(sector.order);
    if (keeps(choice, sector.order, random)) {
      auto bytes = sector.bytes;
      if (sector.order == choice.torn_order || (may_tear && random.chance(1, 4))) {
        const auto old = get_sector(image, sector.index);
        const std::uint64_t from = random.below(sector_bytes);
        std::memcpy(bytes.data() + from, old.data() + from, sector_bytes - from);
      }
      put_sector(image, sector.index, bytes.data());
      blocks.add(sector.index * sector_bytes, (sector.index + 1) * sector_bytes);
    } else if (may_tear && random.chance(1, 4) && sector.index * sector_bytes >= durable_before) {
      std::array<std::byte, sector_bytes> garbage;
      for (auto& b : garbage) b = static_cast<std::byte>(random.below(256));
      put_sector(image, sector.index, garbage.data());
    }
  }
  apply_lengths_before(UINT64_MAX);
  blocks.cut(image.size());
  file.blocks = file.durable_blocks = std::move(blocks);
  file.live = image;
  file.durable = std::move(image);
  file.sectors.clear();
  file.lengths.clear();
  file.direct_opens = file.buffered_opens = 0;
}

void SimImage::crash(const CrashPolicy& policy, Random& random) {
  const auto nodes = all_nodes();
  if (policy.keep == CrashPolicy::Keep::kill) {
    for (const auto& node : nodes) node->direct_opens = node->buffered_opens = 0;
    return;
  }
  const Choice choice = choose(policy, nodes);
  for (const auto& entry : entries_) {
    if (!keeps(choice, entry.order, random)) continue;
    for (const auto& part : entry.parts) {
      if (part.node == nullptr) {
        part.directory->durable_names.erase(part.name);
      } else {
        part.directory->durable_names[part.name] = part.node;
      }
    }
  }
  entries_.clear();
  for (const auto& node : nodes) {
    if (node->kind == SimNode::Kind::file) crash_file(*node, choice, random);
    node->names = node->durable_names;
  }
}

SimImage SimImage::clone() const {
  std::map<const SimNode*, SimNodePtr> copies;
  const auto nodes = all_nodes();
  for (const auto& node : nodes) copies[node.get()] = std::make_shared<SimNode>(*node);
  for (const auto& [old, copy] : copies) {
    for (auto* names : {&copy->names, &copy->durable_names}) {
      for (auto& [name, child] : *names) child = copies.at(child.get());
    }
  }
  SimImage image;
  image.root_ = copies.at(root_.get());
  image.next_order_ = next_order_;
  image.entries_ = entries_;
  for (auto& entry : image.entries_) {
    for (auto& part : entry.parts) {
      // A directory that is reachable by no name any more is nobody's, and nothing in it counts.
      const auto directory = copies.find(part.directory.get());
      part.directory = directory != copies.end()
                           ? directory->second
                           : std::make_shared<SimNode>(SimNode::Kind::directory);
      if (part.node != nullptr) part.node = copies.at(part.node.get());
    }
  }
  return image;
}

void SimImage::settle() {
  for (const auto& node : all_nodes()) {
    node->durable = node->live;
    node->durable_blocks = node->blocks;
    node->sectors.clear();
    node->lengths.clear();
    node->durable_names = node->names;
  }
  entries_.clear();
}

std::uint64_t SimImage::used_bytes() const {
  std::uint64_t bytes = 0;
  std::vector<SimNodePtr> open{root_};
  while (!open.empty()) {
    const auto node = open.back();
    open.pop_back();
    bytes += node->kind == SimNode::Kind::directory ? SimBlocks::block_bytes : node->blocks.bytes();
    for (const auto& [name, child] : node->names) open.push_back(child);
  }
  return bytes;
}

}  // namespace millrace::sim
