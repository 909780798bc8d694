// millrace doctor: what this machine gives a broker
#include "commands.h"
#include "disk_probe.h"
#include "interrupt.h"
#include "machine_probe.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::warn: return "warn";
    case Verdict::fail: return "fail";
  }
  return "unknown";
}

}  // namespace

int doctor(const Context& context, const DoctorArguments& arguments) {
  finish_on_interrupt();  // the self-test removes its file
  std::vector<Check> checks = probe_machine();
  for (Check& check : probe_disk(context, arguments.data_dir, arguments.self_test))
    checks.push_back(std::move(check));
  if (interrupted()) return exit_code::interrupted;
  bool stops = false;
  Json list = Json::array();
  TextTable table({"CHECK", "VERDICT", "FOUND", "WHAT TO DO"});
  for (const Check& check : checks) {
    stops |= check.verdict == Verdict::fail;
    list.push_back({{"check", check.name},
                    {"verdict", name_of(check.verdict)},
                    {"found", check.found},
                    {"advice", check.advice.empty() ? Json(nullptr) : Json(check.advice)}});
    table.add_row({check.name, name_of(check.verdict), check.found, check.advice});
  }
  if (context.json()) {
    print_json({{"ok", !stops}, {"checks", list}});
  } else {
    print_text(table.to_string());
  }
  return stops ? exit_code::failed : exit_code::done;
}

}  // namespace millrace::cli
