#include "tests/enumerate/damage.h"

#include "broker/meta/catalog_codec.h"
#include "storage/data_directory.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/format/index_layout.h"
#include "storage/format/segment_layout.h"
#include "storage/io/system_clock.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace millrace::test {
namespace {

constexpr std::uint64_t zeroed_bytes = 512;
constexpr const char* topic = "orders";

void fill(ShardMachine& m) {
  m.open();
  m.create(topic);
  m.produce(topic, 0, 3000, 6);  // the sealed segment
  m.produce(topic, 0, 5000, 1);  // rolls
  m.wait(seconds(2));            // a checkpoint
  m.produce(topic, 0, 900, 3);
}

FileKind kind_of_path(const std::string& path, const std::string& newest_segment) {
  if (path.ends_with(".index")) return FileKind::index;
  if (path.ends_with("/checkpoint")) return FileKind::checkpoint;
  if (path.find("/topic.meta.") != std::string::npos) return FileKind::topic_meta;
  return path == newest_segment ? FileKind::active_segment : FileKind::segment;
}

bool is_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Between the slots of a checkpoint.
bool in_hole(FileKind kind, std::uint64_t at) {
  return kind == FileKind::checkpoint && at >= 4096 && at < checkpoint_layout::slot_bytes;
}

}  // namespace

std::string_view outcome_name(DamageOutcome outcome) {
  static constexpr std::string_view names[damage_outcomes] = {
      "served right", "rebuilt",     "reported corrupt", "refused",
      "cut as torn",  "wrong bytes", "forgotten"};
  return names[static_cast<std::size_t>(outcome)];
}

std::string_view file_kind_name(FileKind kind) {
  static constexpr std::string_view names[file_kinds] = {
      "sealed segment", "active segment", "index", "checkpoint", "topic.meta", "identity"};
  return names[static_cast<std::size_t>(kind)];
}

// -- the directory
// ------------------------------------------------------------------------------------------

DamagedDirectory::DamagedDirectory(Stop stop)
    : stop_(stop), machine_(std::make_unique<ShardMachine>(1, fill)) {
  machine_->run();
  if (stop == Stop::closed) machine_->stop();
  machine_->disk().on_crash([&](const sim::SimImage& medium) { medium_ = medium.clone(); });
  machine_->lose_power(sim::CrashPolicy::all());
  machine_->disk().on_crash(nullptr);
  Random random(1);
  medium_.crash(sim::CrashPolicy::all(), random);
  const auto all = machine_->disk().files();
  std::string newest;
  for (const auto& [path, bytes] : all) {
    if (path.ends_with(".segment")) newest = std::max(newest, path);
  }
  for (const auto& [path, bytes] : all) {
    if (path.starts_with("topics/")) files_.push_back({path, kind_of_path(path, newest), bytes});
  }
  for (const auto& file : files_) {
    if (file.kind == FileKind::checkpoint) {
      for (const std::size_t at : {std::size_t{0}, checkpoint_layout::slot_bytes}) {
        if (at >= file.bytes.size()) continue;
        const auto slot = decode_checkpoint(ByteView(file.bytes).subspan(at));
        if (slot) checkpoint_end_ = std::max(checkpoint_end_, slot->durable_end.value);
      }
    }
    if (file.kind != FileKind::active_segment) continue;
    for (std::uint64_t at = segment_layout::first_batch_position.value; at < file.bytes.size();
         at += 4096) {
      if (parse_batch_header(ByteView(file.bytes).subspan(at))) last_commit_position_ = at;
    }
  }
  list_mutations();
}

void DamagedDirectory::list_mutations() {
  using Kind = Mutation::Kind;
  for (std::size_t f = 0; f < files_.size(); ++f) {
    const auto file = static_cast<std::uint16_t>(f);
    const auto size = static_cast<std::uint32_t>(files_[f].bytes.size());
    for (std::uint32_t at = 0; at < size; ++at) {
      const bool hole = in_hole(files_[f].kind, at);
      if (hole && at % zeroed_bytes != 0) continue;
      for (std::uint8_t bit = 0; bit < (hole ? 1 : 8); ++bit)
        mutations_.push_back({Kind::flip, bit, file, 0, at});
      mutations_.push_back({Kind::cut, 0, file, 0, at});
      if (at % zeroed_bytes != 0) continue;
      const auto block = ByteView(files_[f].bytes)
                             .subspan(at)
                             .first(std::min<std::size_t>(zeroed_bytes, size - at));
      if (!is_zero(block)) mutations_.push_back({Kind::zero, 0, file, 0, at});
    }
    for (std::size_t other = f + 1; other < files_.size(); ++other)
      mutations_.push_back({Kind::swap, 0, file, static_cast<std::uint16_t>(other), 0});
  }
}

FileKind DamagedDirectory::kind_of(const Mutation& mutation) const {
  return files_[mutation.file].kind;
}

std::string DamagedDirectory::to_string(const Mutation& mutation) const {
  const std::string& path = files_[mutation.file].path;
  switch (mutation.kind) {
    case Mutation::Kind::flip:
      return fmt::format("bit {} of byte {} of {}", mutation.bit, mutation.at, path);
    case Mutation::Kind::cut: return fmt::format("{} cut at byte {}", path, mutation.at);
    case Mutation::Kind::zero: return fmt::format("zeros from byte {} of {}", mutation.at, path);
    case Mutation::Kind::swap:
      return fmt::format("{} and {} swapped", path, files_[mutation.other].path);
  }
  return {};
}

void DamagedDirectory::damage(sim::SimDisk& disk, const Mutation& mutation) const {
  const File& file = files_[mutation.file];
  switch (mutation.kind) {
    case Mutation::Kind::flip:
      return disk.corrupt(file.path, mutation.at, static_cast<std::uint8_t>(1u << mutation.bit));
    case Mutation::Kind::cut: return disk.cut_file(file.path, mutation.at);
    case Mutation::Kind::zero: {
      auto bytes = file.bytes;
      const std::size_t end = std::min<std::size_t>(bytes.size(), mutation.at + zeroed_bytes);
      std::fill(bytes.begin() + mutation.at, bytes.begin() + static_cast<std::ptrdiff_t>(end),
                std::byte{0});
      return disk.write_file(file.path, bytes);
    }
    case Mutation::Kind::swap:
      disk.write_file(file.path, files_[mutation.other].bytes);
      return disk.write_file(files_[mutation.other].path, file.bytes);
  }
}

// Whether the program that reads this file takes it as it is now.
bool DamagedDirectory::verifies(const File& file, const sim::SimDisk& disk) const {
  if (!disk.exists(file.path)) return false;
  const auto bytes = disk.read_file(file.path);
  switch (file.kind) {
    case FileKind::index: return decode_index(bytes).has_value();
    case FileKind::topic_meta: return decode_topic_meta(bytes).has_value();
    case FileKind::checkpoint:
      for (const std::size_t at : {std::size_t{0}, checkpoint_layout::slot_bytes}) {
        if (at >= file.bytes.size()) continue;
        if (at >= bytes.size() || !decode_checkpoint(ByteView(bytes).subspan(at))) return false;
      }
      return true;
    case FileKind::segment:
    case FileKind::active_segment:
    case FileKind::identity: return true;  // what is not an event does not matter
  }
  return false;
}

DamageResult DamagedDirectory::run(const Mutation& mutation) const {
  const auto forked = machine_->fork(7, medium_.clone());
  auto& machine = static_cast<ShardMachine&>(*forked);
  damage(machine.disk(), mutation);
  const bool verified =
      verifies(files_[mutation.file], machine.disk()) &&
      (mutation.kind != Mutation::Kind::swap || verifies(files_[mutation.other], machine.disk()));
  if (!machine.start()) return {DamageOutcome::refused, {}};
  DamageResult first = judge(machine, mutation);
  if (first.outcome == DamageOutcome::served_right && !verified)
    first.outcome = DamageOutcome::rebuilt;
  if (first.outcome >= DamageOutcome::wrong_bytes) return first;
  // What is derived, or there twice, costs nothing when it alone is damaged.
  const FileKind kind = kind_of(mutation);
  const bool is_event_data = kind == FileKind::segment || kind == FileKind::active_segment;
  if (!is_event_data && mutation.kind != Mutation::Kind::swap &&
      first.outcome > DamageOutcome::rebuilt)
    return {DamageOutcome::forgotten, "damage to what can be made again cost events"};
  // One more event: whatever was damaged, it gets no offset of an acked one.
  const auto& acked = machine_->acked(topic, 0);
  const auto offset = machine.try_produce(topic, 0, "new");
  if (offset && acked.contains(*offset) && first.outcome != DamageOutcome::cut_as_torn)
    return {DamageOutcome::forgotten, fmt::format("offset {} was given again", *offset)};
  machine.stop();
  if (!machine.start()) return {DamageOutcome::refused, {}};
  // What was cut is gone now, and nobody knows of it any more.
  if (first.outcome == DamageOutcome::cut_as_torn) {
    machine.stop();
    return first;
  }
  const DamageResult second = judge(machine, mutation);
  machine.stop();
  return second.outcome >= DamageOutcome::wrong_bytes ? second : first;
}

DamageResult DamagedDirectory::judge(ShardMachine& machine, const Mutation& mutation) const {
  const auto& acked = machine_->acked(topic, 0);
  const Observation seen = machine.observe(topic, 0);
  for (const auto& [offset, payload] : seen.served) {
    const auto promised = acked.find(offset);
    const bool is_new = promised == acked.end() && payload == "new";
    if (!is_new && (promised == acked.end() || promised->second != payload))
      return {DamageOutcome::wrong_bytes, fmt::format("offset {}: {:.60}", offset, payload)};
  }
  std::optional<std::uint64_t> missing, last_missing;
  for (const auto& [offset, payload] : acked) {
    if (seen.served.contains(offset)) continue;
    const bool named = std::any_of(seen.holes.begin(), seen.holes.end(), [&](const auto& hole) {
      return hole.begin.value <= offset && offset < hole.end.value;
    });
    if (named) continue;
    if (!missing) missing = offset;
    last_missing = offset;
  }
  if (!missing) {
    return {seen.holes.empty() ? DamageOutcome::served_right : DamageOutcome::corrupt, {}};
  }
  // An error for all of it is an answer; the files stay for whoever repairs them.
  const std::string& path = files_[mutation.file].path;
  const auto directory = path.substr(0, path.find('/', std::string_view("topics/").size()));
  if (!seen.refused.empty() && machine.disk().exists(directory))
    return {DamageOutcome::refused, {}};
  // A partition that takes no appends and says why gives no offset away again, although it does not
  // know how many it had behind its end.
  if (*missing >= seen.end && seen.state != "ok" && !machine.try_produce(topic, 0, "refused"))
    return {DamageOutcome::refused, {}};
  const bool is_suffix = *last_missing == acked.rbegin()->first && *missing == seen.end;
  if (is_suffix && is_torn_window(mutation, *missing)) return {DamageOutcome::cut_as_torn, {}};
  return {DamageOutcome::forgotten,
          fmt::format("offset {} is neither served nor named; [{}, {}) is, state: {}", *missing,
                      seen.start, seen.end, seen.state)};
}

// A broker that was killed cannot tell damage inside its last commit from a commit that was torn;
// nor, when the file was cut, inside anything behind its last checkpoint, since no later batch is
// left to prove it.
bool DamagedDirectory::is_torn_window(const Mutation& mutation, std::uint64_t first_missing) const {
  if (stop_ == Stop::closed || first_missing < checkpoint_end_) return false;
  if (files_[mutation.file].kind != FileKind::active_segment) return false;
  if (mutation.kind == Mutation::Kind::cut) return true;
  return mutation.kind != Mutation::Kind::swap && mutation.at >= last_commit_position_;
}

// -- the identity
// -------------------------------------------------------------------------------------------

DamagedIdentity::DamagedIdentity(const std::string& root) : root_(root) {
  // Not an empty directory: what has topics and no identity is no new broker.
  std::filesystem::create_directories(root + "/topics/" + std::string(32, 'a'));
  std::filesystem::create_directories(root + "/pool");
  bytes_.resize(identity_layout::block_bytes);
  DataDirectoryIdentity identity;
  for (std::size_t i = 0; i < 16; ++i)
    identity.cluster_id.bytes[i] = static_cast<std::uint8_t>(i + 1);
  identity.created = WallTime{1'700'000'000'000'000'000};
  encode_identity(identity, bytes_);
  for (std::size_t at = 0; at < bytes_.size(); at += zeroed_bytes) {
    if (!is_zero(ByteView(bytes_).subspan(at, zeroed_bytes))) zeroed_at_.push_back(at);
  }
}

// Flips, then cuts, then zeros.
std::size_t DamagedIdentity::mutations() const { return bytes_.size() * 9 + zeroed_at_.size(); }

std::string DamagedIdentity::to_string(std::size_t mutation) const {
  const std::size_t bits = bytes_.size() * 8;
  if (mutation < bits) return fmt::format("bit {} of the identity", mutation);
  mutation -= bits;
  if (mutation < bytes_.size()) return fmt::format("the identity cut at byte {}", mutation);
  return fmt::format("zeros from byte {} of the identity", zeroed_at_.at(mutation - bytes_.size()));
}

DamageResult DamagedIdentity::run(std::size_t mutation) const {
  auto bytes = bytes_;
  const std::size_t bits = bytes_.size() * 8;
  if (mutation < bits) {
    bytes[mutation / 8] ^= static_cast<std::byte>(1u << mutation % 8);
  } else if (mutation < bits + bytes_.size()) {
    bytes.resize(mutation - bits);
  } else {
    const std::size_t at = zeroed_at_.at(mutation - bits - bytes_.size());
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), zeroed_bytes, std::byte{0});
  }
  std::ofstream(root_ + "/identity", std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  SystemClock clock;
  Random random(mutation + 1);
  DataDirectoryOptions options;
  options.warn_of_file_system = false;
  const auto opened = DataDirectory::open(root_, clock, random, options);
  if (!opened) return {DamageOutcome::refused, {}};
  const auto original = decode_identity(bytes_);
  if ((*opened)->cluster_id() != original->cluster_id)
    return {DamageOutcome::wrong_bytes, "the directory has become another broker's"};
  return {bytes == bytes_ ? DamageOutcome::served_right : DamageOutcome::rebuilt, {}};
}

}  // namespace millrace::test
