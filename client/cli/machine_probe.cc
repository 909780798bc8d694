#include "machine_probe.h"

#include "text_table.h"

#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

namespace millrace::cli {
namespace {

Check probe_kernel() {
  utsname name = {};
  ::uname(&name);
  int major = 0, minor = 0;
  const int fields = std::sscanf(name.release, "%d.%d", &major, &minor);
  Check check{"kernel", Verdict::ok, fmt::format("{} {}", name.sysname, name.release), ""};
  if (fields == 2 && (major < 5 || (major == 5 && minor < 15))) {
    check.verdict = Verdict::warn;
    check.advice = "use Linux 5.15 or newer; older io_uring loses completions";
  }
  return check;
}

Check probe_io_uring() {
  io_uring_params params = {};
  const long descriptor = ::syscall(SYS_io_uring_setup, 8, &params);
  if (descriptor >= 0) {
    ::close(static_cast<int>(descriptor));
    return {"io_uring", Verdict::ok, "available", ""};
  }
  const int error = errno;
  Check check{"io_uring", Verdict::warn, fmt::format("refused: {}", std::strerror(error)),
              "the broker uses plain calls on a thread instead, which is slower"};
  if (const auto disabled = first_line("/proc/sys/kernel/io_uring_disabled");
      !disabled.empty() && disabled != "0") {
    check.advice = fmt::format("sysctl kernel.io_uring_disabled is {}; set it to 0", disabled);
  } else if (error == EPERM || error == EACCES) {
    check.advice =
        "a container's seccomp profile blocks it; allow io_uring_setup, io_uring_enter, "
        "io_uring_register";
  } else if (error == ENOSYS) {
    check.advice = "the kernel was built without it";
  } else if (error == ENOMEM) {
    check.advice = "raise the memlock limit";
  }
  return check;
}

std::string limit_text(rlim_t value) {
  return value == RLIM_INFINITY ? "unlimited" : human_count(static_cast<std::uint64_t>(value));
}

Check probe_limit(const char* name, int resource, rlim_t wanted, rlim_t needed,
                  const char* advice) {
  rlimit limit = {};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
  Check check{
      name, Verdict::ok,
      fmt::format("soft {}, hard {}", limit_text(limit.rlim_cur), limit_text(limit.rlim_max)), ""};
  if (limit.rlim_cur < needed) {
    check.verdict = Verdict::fail;
  } else if (limit.rlim_cur < wanted) {
    check.verdict = Verdict::warn;
  }
  if (check.verdict != Verdict::ok) check.advice = advice;
  return check;
}

Check probe_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  std::uint64_t value = 0, total = 0, available = 0;
  while (file >> key >> value >> unit) {
    if (key == "MemTotal:") total = value * 1024;
    if (key == "MemAvailable:") available = value * 1024;
  }
  Check check{"memory", Verdict::ok,
              fmt::format("{}, {} available", human_bytes(total), human_bytes(available)), ""};
  if (available < 256u * 1024 * 1024) {
    check.verdict = Verdict::warn;
    check.advice = "a broker wants 256 MiB for buffers and its tail cache";
  }
  return check;
}

Check probe_processors() {
  std::ifstream file("/proc/cpuinfo");
  std::string line, model = "unknown model";
  bool has_crc = false;
  while (std::getline(file, line)) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos)
      model = line.substr(colon + 2);
    if (line.starts_with("flags")) has_crc |= line.find(" sse4_2") != std::string::npos;
    if (line.starts_with("Features")) has_crc |= line.find(" crc32") != std::string::npos;
  }
  Check check{"processor", Verdict::ok,
              fmt::format("{} x {}", std::thread::hardware_concurrency(), model), ""};
  if (!has_crc) {
    check.verdict = Verdict::warn;
    check.advice = "no CRC32C instruction was found; checksums are slower";
  }
  return check;
}

Check probe_zmq() {
  int major = 0, minor = 0, patch = 0;
  ::zmq_version(&major, &minor, &patch);
  const bool has_curve = ::zmq_has("curve") == 1;
  Check check{"zeromq", Verdict::ok,
              fmt::format("{}.{}.{}{}", major, minor, patch, has_curve ? " with CURVE" : ""), ""};
  if (major < 4 || (major == 4 && minor < 3)) {
    check.verdict = Verdict::fail;
    check.advice = "libzmq 4.3 or newer is needed";
  } else if (!has_curve) {
    check.verdict = Verdict::warn;
    check.advice = "this build has no CURVE: connections cannot be encrypted";
  }
  return check;
}

}  // namespace

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<Check> probe_machine() {
  return {probe_kernel(),
          probe_io_uring(),
          probe_processors(),
          probe_memory(),
          probe_limit("open files", RLIMIT_NOFILE, 4096, 64,
                      "raise it: ulimit -n 65536, or LimitNOFILE= of the service"),
          probe_limit("locked memory", RLIMIT_MEMLOCK, 8u << 20, 64u << 10,
                      "raise it: ulimit -l unlimited, or LimitMEMLOCK= of the service"),
          probe_zmq()};
}

}  // namespace millrace::cli
