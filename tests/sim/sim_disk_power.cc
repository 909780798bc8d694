#include "storage/base/check.h"
#include "storage/base/units.h"
#include "tests/sim/sim_disk.h"

#include <algorithm>

namespace millrace::sim {

void SimDisk::lift_faults() {
  faults_.clear();
  bad_ranges_.clear();
  short_writes_ = 0;
}

void SimDisk::draw_fault(Operation& operation) {
  for (auto& armed : faults_) {
    const Fault& fault = armed.fault;
    if (fault.call != operation.call) continue;
    if (!fault.path.empty() && name_of(operation).find(fault.path) == std::string::npos) continue;
    ++armed.seen;
    if (armed.seen != fault.nth && !(fault.for_ever && armed.seen > fault.nth)) continue;
    operation.effect = fault.effect;
    if (fault.effect == Effect::error) operation.fault = fault.error;
  }
  const bool lies = operation.effect != Effect::error;
  if (!operation.fault && !lies) return;
  ++faults_hit_;
  if (on_fault_) on_fault_(started_);
  ++fault_counts_[{operation.call, operation.fault.value_or(Errc::ok)}];
  if (lies) lied_about_.push_back(handle_of(operation.file).node);
}

IoResult SimDisk::execute_fault(const Operation& operation) {
  Handle* handle = operation.file.is_open() ? &handle_of(operation.file) : nullptr;
  const bool is_write = operation.call == Call::write || operation.call == Call::synced_write;
  if (is_write) write_some(operation, 2);
  const bool is_sync =
      operation.call == Call::sync_data ||
      (operation.call == Call::synced_write && *operation.fault != Errc::storage_full);
  if (is_sync) {
    image_.forget_pending(*handle->node, random_);
    if (handle->access == Access::direct) handle->node->live = handle->node->durable;
  }
  if (operation.call == Call::close) close_handle(*handle);
  return fail(*operation.fault, std::string(call_name(operation.call)) + " " + name_of(operation) +
                                    ": injected fault");
}

// The device says that it wrote. The file is as long as it should be, so that only the bytes tell.
void SimDisk::lie(const Operation& operation) {
  SimNode& file = *handle_of(operation.file).node;
  const std::uint64_t end = operation.at + operation.length;
  if (file.live.size() < end) image_.set_length(file, end);
  if (operation.effect == Effect::misdirected) {
    const std::uint64_t blocks = align_up(file.live.size(), 4096) / 4096;
    const std::uint64_t first = operation.length / 4096;
    if (blocks > first) {
      const std::uint64_t to = random_.below(blocks - first + 1) * 4096;
      const auto bytes = bytes_of(operation);
      image_.write_through(
          file, to,
          ByteView(bytes).first(std::min<std::uint64_t>(bytes.size(), file.live.size() - to)));
    }
  }
  image_.sync(file);
}

// Sectors of a write that did not succeed: any of them, the first ones more likely than none.
void SimDisk::write_some(const Operation& operation, std::uint64_t numerator) {
  SimNode& file = *handle_of(operation.file).node;
  const auto bytes = bytes_of(operation);
  for (std::size_t from = 0; from < bytes.size();) {
    const std::size_t count = std::min<std::size_t>(
        sector_bytes - (operation.at + from) % sector_bytes, bytes.size() - from);
    if (random_.chance(numerator, 4) &&
        has_room(file, operation.at + from, operation.at + from + count)) {
      image_.write(file, operation.at + from, ByteView(bytes).subspan(from, count));
    }
    from += count;
  }
}

// The part of an operation in flight that may have happened.
void SimDisk::half_execute(const Operation& operation) {
  if (operation.fault) return;
  switch (operation.call) {
    case Call::write:
    case Call::synced_write: return write_some(operation, 4);
    case Call::set_length:
    case Call::preallocate:
    case Call::make_directory:
    case Call::remove_directory:
    case Call::remove:
    case Call::rename: {
      Operation copy = operation;
      (void)execute(copy);
      return;
    }
    case Call::open:
      if (operation.mode == OpenMode::create)
        (void)image_.create(operation.path, SimNode::Kind::file);
      return;
    case Call::close:
    case Call::read:
    case Call::sync_data:
    case Call::file_size:
    case Call::sync_directory:
    case Call::list: return;
  }
}

void SimDisk::crash(const CrashPolicy& policy) {
  CHECK(has_power_, "the power is off already");
  // The machine of a killed program carries out what it was given, or has not begun with it.
  const auto happens = [&] {
    return policy.keep != CrashPolicy::Keep::kill || random_.chance(1, 2);
  };
  for (const auto& operation : reaping_) {
    if (happens()) half_execute(operation);
  }
  for (const auto& operation : operations_) {
    if (happens()) half_execute(operation);
  }
  if (on_crash_) on_crash_(image_);
  image_.crash(policy, random_);
  has_power_ = false;
  crash_at_ = 0;
}

void SimDisk::crash_at(std::uint64_t operation, CrashPolicy policy) {
  CHECK(operation > 0, "the next operation is number 1");
  crash_at_ = started_ + operation;
  crash_policy_ = policy;
}

void SimDisk::power_on() {
  CHECK(!has_power_, "the power is on");
  CHECK(operations_.empty(), "the dead program still waits for I/O");
  handles_.clear();
  held_.clear();
  has_power_ = true;
}

void SimDisk::adopt(SimImage image) {
  CHECK(open_files() == 0, "a medium is changed between two runs of a program");
  image_ = std::move(image);
  bad_ranges_.clear();
}

std::size_t SimDisk::open_files() const {
  return static_cast<std::size_t>(std::count_if(handles_.begin(), handles_.end(),
                                                [](const Handle& h) { return h.node != nullptr; }));
}

bool SimDisk::was_lied_about(std::string_view path) const {
  if (lied_about_.empty()) return false;
  const auto is_there = [&](const std::string& once) {
    return once.starts_with(path) && (once.size() == path.size() || once[path.size()] == '/');
  };
  if (std::any_of(lied_about_paths_.begin(), lied_about_paths_.end(), is_there)) return true;
  std::vector<SimNodePtr> open{image_.find(path)};
  while (!open.empty()) {
    const auto node = open.back();
    open.pop_back();
    if (node == nullptr) continue;
    if (std::find(lied_about_.begin(), lied_about_.end(), node) != lied_about_.end()) return true;
    for (const auto& [name, child] : node->names) open.push_back(child);
  }
  return false;
}

std::vector<SimDisk::Flying> SimDisk::flying() const {
  std::vector<Flying> out;
  for (const auto* list : {&reaping_, &operations_}) {
    for (const auto& operation : *list)
      out.push_back({operation.call, name_of(operation), operation.to});
  }
  return out;
}

std::string SimDisk::trace() const {
  std::string out;
  for (const auto& line : trace_) {
    out += std::to_string(line.number) + " " + std::string(call_name(line.call)) + " " + line.path +
           (line.to.empty() ? "" : " -> " + line.to) + " at " + std::to_string(line.at) +
           " bytes " + std::to_string(line.length) + line.note + "\n";
  }
  return out;
}

}  // namespace millrace::sim
