#include "arguments.h"

#include "commands.h"
#include "flags.h"
#include "parse_values.h"
#include "storage/base/nearest_name.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

namespace millrace::cli {
namespace {

constexpr const char* where_help =
    "WHERE: start, end, -10 (ten before the end, per partition), 1234, @2026-09-01T12:00:00Z, @-2h";
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// -- what was probably meant

std::string nearest(std::string_view unknown, const std::vector<std::string>& known) {
  const std::vector<std::string_view> names(known.begin(), known.end());
  const auto found = nearest_name(unknown, names);
  return found ? fmt::format(", the nearest is {}", *found) : std::string();
}

// The command that was named, as far down as it is known.
const CLI::App& last_named(const CLI::App& app) {
  const auto named = app.get_subcommands();
  return named.empty() ? app : last_named(*named.front());
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// Of the named command and of those above it.
std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &last_named(app); at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// What is left over on the command line: a flag before all, whose value may be left over with it.
std::string unexpected(const CLI::App& app, const std::vector<std::string>& left) {
  const auto flag = std::find_if(left.begin(), left.end(),
                                 [](const std::string& text) { return text.starts_with('-'); });
  if (flag == left.end()) {
    const CLI::App& named = last_named(app);
    const auto commands = command_names(named);
    if (commands.empty()) return fmt::format("'{}' is one argument too many", left.front());
    if (named.get_name() == "completion")
      return fmt::format("there is no completion for the shell '{}', only for {}", left.front(),
                         fmt::join(commands, ", "));
    const std::string near = nearest(left.front(), commands);
    return fmt::format(
        "there is no command '{}'{}", left.front(),
        near.empty() ? fmt::format("; there are {}", fmt::join(commands, ", ")) : near);
  }
  const std::string name = flag->substr(0, flag->find('='));
  return fmt::format("there is no flag '{}'{}", name, nearest(name, flag_names(app)));
}

// Of a command that was left out, or an argument or a flag of the one that was named.
std::string missing(const CLI::App& app, const CLI::RequiredError& error) {
  const CLI::App& named = last_named(app);
  const auto commands = command_names(named);
  if (commands.empty()) return one_line(error.what());
  return fmt::format(
      "'{}' needs a command: {}",
      &named == &app ? app.get_name() : fmt::format("{} {}", app.get_name(), named.get_name()),
      fmt::join(commands, ", "));
}

}  // namespace

Arguments::Arguments()
    : app_(std::make_unique<CLI::App>("The command line of Millrace, an event-streaming broker.",
                                      "millrace")) {
  app_->fallthrough();
  app_->require_subcommand(1);
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app_->footer(
      "Exit codes: 0 done; 1 the operation failed, or the broker refused it: also a value that "
      "only\n"
      "the broker can judge, such as the name or a setting of a topic; 2 bad usage: refused "
      "before\n"
      "anything was asked of a broker; 130 interrupted.\n"
      "Results go to standard output, everything else to standard error.\n\n"
      "Examples:\n"
      "  millrace topic create orders --partitions 4\n"
      "  millrace produce orders --key-field user.id events.jsonl\n"
      "  millrace consume orders --offset -10 -f '%p/%o %k %v\\n'\n"
      "  millrace replay orders --offset @-2h: --to orders-again\n");
  add_globals();
  add_topic();
  add_produce();
  add_consume();
  add_tail();
  add_replay();
  add_log();
  add_bench();
  add_others();
}

Arguments::~Arguments() = default;

void Arguments::runs(CLI::App& command, Command run) {
  command.callback([this, run = std::move(run)] { chosen_ = run; });
  command.footer(
      "Flags of every command: --broker ENDPOINT (or MILLRACE_BROKER), -o table|json,\n"
      "--timeout DURATION, -q; millrace --help explains them.\n\n" +
      command.get_footer());
}

void Arguments::add_globals() {
  app_->add_option("--broker", context_.client.endpoint,
                   "request endpoint of the broker, tcp://HOST:PORT or ipc://PATH. Default "
                   "tcp://127.0.0.1:7711")
      ->envname("MILLRACE_BROKER")
      ->type_name("ENDPOINT");
  app_->add_option_function<std::string>(
          "-o,--output",
          [this](const std::string& text) {
            context_.style = text == "json" ? OutputStyle::json : OutputStyle::table;
          },
          "table (the default) or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("STYLE");
  app_->add_option_function<std::string>(
          "--timeout",
          checked(
              "--timeout", context_.client.timeout,
              [](const std::string& text) {
                const auto timeout = parse_duration(text);
                return timeout && *timeout <= std::chrono::hours{24} ? timeout : std::nullopt;
              },
              "a duration like 30s, 500ms or 2m, at most 24h"),
          "how long one request may take, 1ms to 24h. Default 30s")
      ->type_name("DURATION");
  app_->add_flag("-q,--quiet", context_.quiet, "no progress, no notes, no summary; only results");
  app_->set_version_flag("--version", "millrace " MILLRACE_VERSION, "print the version and stop");
}

void Arguments::add_topic() {
  CLI::App* topic = app_->add_subcommand("topic", "create, list, describe, delete and trim topics");
  topic->require_subcommand(1);
  topic->footer("Example:\n  millrace topic create orders --partitions 4\n");

  CLI::App* create = topic->add_subcommand("create", "create a topic");
  auto created = std::make_shared<TopicCreateArguments>();
  create->add_option("NAME", created->name, "[A-Za-z0-9._-]{1,200}, no leading dot")->required();
  add_partitions(*create, "--partitions", created->partitions);
  create->add_option("--set", created->settings, "a setting of the topic, repeatable")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1)
      ->type_name("KEY=VALUE");
  create->footer(
      "An event must fit into one batch: a payload above 1,048,300 B needs batch_bytes_max above "
      "its\n"
      "default of 1 MiB, up to 64 MiB. docs/operations.md lists all settings.\n\n"
      "Examples:\n"
      "  millrace topic create orders --partitions 4 --set retention_age=\"30 days\"\n"
      "  millrace topic create images --set batch_bytes_max=\"16 MiB\"\n");
  runs(*create, [created](const Context& c) { return topic_create(c, *created); });

  CLI::App* list = topic->add_subcommand("list", "list the topics; -q prints the names alone");
  list->footer("Example:\n  millrace topic list -o json\n");
  runs(*list, topic_list);

  auto named = std::make_shared<std::string>();
  CLI::App* describe = topic->add_subcommand("describe", "settings and partitions of a topic");
  describe->add_option("NAME", *named, "the topic")->required();
  describe->footer("Example:\n  millrace topic describe orders\n");
  runs(*describe, [named](const Context& c) { return topic_describe(c, *named); });

  CLI::App* remove =
      topic->add_subcommand("delete", "delete a topic and its events; never asks back");
  remove->add_option("NAME", *named, "the topic")->required();
  remove->footer("Example:\n  millrace topic delete orders\n");
  runs(*remove, [named](const Context& c) { return topic_delete(c, *named); });

  CLI::App* trim = topic->add_subcommand("trim", "remove the events before an offset or a time");
  auto trimmed = std::make_shared<TopicTrimArguments>();
  trim->add_option("NAME", trimmed->name, "the topic")->required();
  trim->add_option("--before", trimmed->before,
                   "the first event that stays: OFFSET, @TIME, @-2h or end")
      ->required()
      ->type_name("WHERE");
  add_partition(*trim, trimmed->partition, "only this one. Default: every partition");
  trim->footer("Example:\n  millrace topic trim orders --before @-7d\n");
  runs(*trim, [trimmed](const Context& c) { return topic_trim(c, *trimmed); });
}

void Arguments::add_produce() {
  CLI::App* command = app_->add_subcommand(
      "produce", "send events: one per line of the files or of standard input");
  auto a = std::make_shared<ProduceArguments>();
  command->add_option("TOPIC", a->topic, "the topic")->required();
  command->add_option("FILE", a->files, "files to read; none or -: standard input")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* key = command->add_option("--key", a->key, "the key of every event")->type_name("KEY");
  auto* separator =
      command
          ->add_option(
              "--key-separator", a->key_separator,
              "split key from payload at the first C, one character; a line without it, or with "
              "nothing before it, has no key. \\t is a tab")
          ->excludes(key)
          ->check(fault_if_empty)
          ->type_name("C");
  command
      ->add_option("--key-field", a->key_field,
                   "take the key from this field of a JSON event; dots go down")
      ->excludes(key)
      ->excludes(separator)
      ->check(fault_if_empty)
      ->type_name("NAME");
  add_partition(*command, a->partition, "send all to this partition");
  command->add_option("--header", a->headers, "a header of every event, repeatable")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1)
      ->type_name("NAME=VALUE");
  add_ack(*command, a->producer);
  command->add_flag("--raw", a->raw, "each file, or all of standard input, is one event");
  auto* create = command->add_flag("--create", a->create, "create the topic if it is not there");
  add_partitions(*command, "--partitions", a->create_partitions)->needs(create);
  add_compression(*command, a->producer);
  add_batch_bytes(*command, a->producer);
  command->footer(
      "A line ends at a newline, which is not sent; an empty line is an event of no bytes; a last\n"
      "line without a newline counts. --key-field stops at the first line that is not JSON or "
      "lacks\n"
      "the field (null, objects and lists are no keys): those before it are sent and counted, the\n"
      "line is named, and the exit code is 1.\n"
      "The summary: events that reached the level of --ack; bytes of the keys and payloads of all\n"
      "that were sent, before compression, without headers and newlines; offsets as they were "
      "given.\n"
      "Exit code 1, with the count acked, if any event was not acked. An interrupt sends what was\n"
      "read, prints the summary and exits 130.\n\n"
      "Examples:\n"
      "  millrace produce orders events.jsonl --key-field user.id\n"
      "  echo 'ada:hello' | millrace produce greetings --key-separator : --create\n");
  runs(*command, [a](const Context& c) { return produce(c, *a); });
}

void Arguments::add_consume() {
  CLI::App* command = app_->add_subcommand("consume", "print events, in order per partition");
  auto a = std::make_shared<ConsumeArguments>();
  command->add_option("TOPIC", a->topic, "TOPIC or TOPIC/PARTITION")->required();
  command
      ->add_option(
          "--offset", a->offset,
          fmt::format("where to begin, or a range BEGIN:END. Default start. {}", where_help))
      ->type_name("WHERE");
  add_count(*command, a->count);
  command->add_flag("-e,--end", a->stop_at_end, "stop at the end as it stood at the start");
  add_format(*command, a->format);
  command->footer(
      "Without -e, -c or a range it follows until an interrupt, which then is the normal end (exit "
      "0).\n"
      "-o json prints one object a line: topic, partition, offset, time, key, headers, value.\n"
      "An offset that is not there (below the start, beyond the end) is refused; start, end, -10\n"
      "and times never are. Damaged ranges are named on standard error and skipped; the exit code\n"
      "is then 1.\n\n"
      "Examples:\n"
      "  millrace consume orders -e\n"
      "  millrace consume orders/2 --offset -10 -c 10 -f '%o %T %k %v\\n'\n"
      "  millrace consume orders --offset @-2h -o json\n");
  runs(*command, [a](const Context& c) { return consume(c, *a); });
}

void Arguments::add_tail() {
  CLI::App* command = app_->add_subcommand("tail", "follow the live feed from now on");
  auto a = std::make_shared<TailArguments>();
  command->add_option("TOPIC", a->topic, "the topic")->required();
  add_count(*command, a->count);
  add_format(*command, a->format);
  command->footer(
      "What the feed dropped is fetched from the log, in order; gaps and repairs are named on "
      "standard\n"
      "error. A topic with live=false is not on the feed: it is read from the log, up to 3 s "
      "late.\n"
      "An interrupt is the normal end (exit 0), unless -c was given (exit 130).\n\n"
      "Example:\n  millrace tail orders -f '%p/%o %v\\n'\n");
  runs(*command, [a](const Context& c) { return tail(c, *a); });
}

void Arguments::add_replay() {
  CLI::App* command =
      app_->add_subcommand("replay", "send a range again: into a topic, a file or standard output");
  auto a = std::make_shared<ReplayArguments>();
  command->add_option("TOPIC", a->topic, "TOPIC or TOPIC/PARTITION")->required();
  command
      ->add_option(
          "--offset", a->range,
          fmt::format("the range, its end exclusive; either side may be left out. {}", where_help))
      ->required()
      ->type_name("BEGIN:END");
  auto* to =
      command
          ->add_option("--to", a->to_topic,
                       "into this topic: keys, headers and times are kept; the partition too if "
                       "both topics have the same number of them, else it follows the key")
          ->check(fault_if_empty)
          ->type_name("TOPIC");
  auto* to_file =
      command->add_option("--to-file", a->to_file, "into this file, which appears when it is whole")
          ->check(fault_if_empty)
          ->excludes(to)
          ->type_name("FILE");
  command
      ->add_option("--speed", a->speed,
                   "max (the default), or a factor of the pace of the event times: 1x, 10x")
      ->type_name("SPEED");
  command->add_flag("--dry-run", a->dry_run,
                    "look at the target, read and count per partition; send and write nothing");
  command->add_flag("--force", a->force, "replace FILE if it is there; allow a topic to itself");
  command->add_flag("--create", a->create, "create the topic of --to, with as many partitions")
      ->needs(to);
  add_format(*command, a->format);
  command->get_option("--format")->excludes(to);
  (void)to_file;
  command->footer(
      "Partitions are merged by event time; within one, the order is that of the log. An offset\n"
      "that is not there (below the start, beyond the end) is refused before anything is sent.\n\n"
      "Examples:\n"
      "  millrace replay orders --offset @-2h: --to orders-again --create\n"
      "  millrace replay orders/0 --offset 1000:2000 --to-file part.txt\n"
      "  millrace replay orders --offset : --to orders-again --dry-run\n");
  runs(*command, [a](const Context& c) { return replay(c, *a); });
}

void Arguments::add_log_repair(CLI::App& log) {
  CLI::App* repair = log.add_subcommand("repair", "make a damaged partition writable again");
  auto wanted = std::make_shared<LogRepairArguments>();
  repair->add_option("DIR", wanted->directory, "a data directory")->required();
  repair->add_option(
      "PARTITION", wanted->partition,
      "TOPIC/PARTITION; without it, what could be done is said and nothing is changed");
  CLI::Option* fence = repair->add_flag(
      "--fence-missing", wanted->fence_missing,
      "missing segments stay missing: their offsets are fenced and appends resume behind them");
  const auto add_number = [repair](const char* flag, std::optional<std::uint64_t>& into,
                                   const char* type, const char* help) {
    return repair
        ->add_option_function<std::string>(
            flag, checked(flag, into, parse_offset, "a whole number from 0 on"), help)
        ->type_name(type);
  };
  CLI::Option* before = add_number("--cut-before", wanted->cut_before, "OFFSET",
                                   "the log starts at this offset, where a segment begins");
  CLI::Option* from = add_number("--cut-from", wanted->cut_from, "OFFSET",
                                 "the log ends at this offset, where a batch ends; offsets "
                                 "from it on are given to new events");
  fence->excludes(before)->excludes(from);
  before->excludes(from);
  add_number("--lose-events", wanted->lose_events, "COUNT",
             "how many events may be given up; must be the number that the dry run says")
      ->excludes(fence);
  repair->footer(
      "A cut without --lose-events only says what it would give up. Files that leave the log, and "
      "a "
      "copy of\n"
      "one that is cut, go to quarantine/ in the data directory. Damaged batches need no repair: a "
      "broker\n"
      "fences them and serves everything else. No broker may be running on the directory.\n\n"
      "Example:\n  millrace log repair ./millrace-data\n"
      "  millrace log repair ./millrace-data orders/0 --fence-missing\n");
  runs(*repair, [wanted](const Context& c) { return log_repair(c, *wanted); });
}

void Arguments::add_log() {
  CLI::App* log = app_->add_subcommand("log", "inspect data directories offline, without a broker");
  log->require_subcommand(1);
  log->footer("Example:\n  millrace log verify ./millrace-data\n");
  auto directory = std::make_shared<std::string>();

  CLI::App* verify = log->add_subcommand("verify", "read everything and name every fault");
  verify->add_option("DIR", *directory, "a data directory")->required();
  verify->footer(
      "Faults are named with file, position and offset; exit code 1 if there is one. What a broker "
      "would\n"
      "cut at its next start, after an unclean stop, is reported but is no fault. Nothing is "
      "changed.\n\n"
      "Example:\n  millrace log verify ./millrace-data\n");
  runs(*verify, [directory](const Context& c) { return log_verify(c, *directory); });

  CLI::App* describe =
      log->add_subcommand("describe", "topics, partitions and segments of a directory");
  describe->add_option("DIR", *directory, "a data directory")->required();
  describe->footer("Example:\n  millrace log describe ./millrace-data -o json\n");
  runs(*describe, [directory](const Context& c) { return log_describe(c, *directory); });

  CLI::App* dump = log->add_subcommand("dump", "the header and batches of one segment file");
  auto dumped = std::make_shared<LogDumpArguments>();
  dump->add_option("SEGMENT", dumped->segment, "a .segment file")->required();
  dump->add_flag("--events", dumped->events, "the events instead of the batches");
  add_format(*dump, dumped->format, LogDumpArguments::default_format);
  dump->get_option("--format")->needs("--events");
  dump->footer(
      "Example:\n  millrace log dump 00000000000000000000.segment --events -f '%o %v\\n'\n");
  runs(*dump, [dumped](const Context& c) { return log_dump(c, *dumped); });
  add_log_repair(*log);
}

void Arguments::add_others() {
  CLI::App* ping_command = app_->add_subcommand("ping", "one round trip to the broker");
  ping_command->footer("Example:\n  millrace ping --timeout 2s\n");
  runs(*ping_command, ping);

  CLI::App* doctor_command = app_->add_subcommand("doctor", "what this machine gives a broker");
  auto a = std::make_shared<DoctorArguments>();
  doctor_command
      ->add_option("--data-dir", a->data_dir, "where the data would be. Default ./millrace-data")
      ->type_name("DIR");
  doctor_command->add_flag("!--no-self-test", a->self_test, "leave out the ten seconds of writing");
  doctor_command->footer(
      "Exit code 1 if something would stop the broker.\n\n"
      "Example:\n  millrace doctor --data-dir /var/lib/millrace\n");
  runs(*doctor_command, [a](const Context& c) { return doctor(c, *a); });

  CLI::App* completion = app_->add_subcommand("completion", "completion for a shell");
  completion->require_subcommand(1);
  completion->footer("Example:\n  source <(millrace completion bash)\n");
  CLI::App* bash = completion->add_subcommand("bash", "print the script for bash");
  bash->footer("Example:\n  source <(millrace completion bash)\n");
  runs(*bash, completion_bash);
}

int Arguments::run(int argc, const char* const* argv) {
  // An empty variable is no endpoint.
  if (const char* broker = std::getenv("MILLRACE_BROKER"); broker != nullptr && *broker == 0)
    ::unsetenv("MILLRACE_BROKER");
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app_->exit(asked);  // --help, --version
  } catch (const CLI::RequiredError& error) {
    // A command or a flag that does not exist shows as the one that is missing for it.
    const auto left = app_->remaining(true);
    const auto what = left.empty() ? missing(*app_, error) : unexpected(*app_, left);
    return report_usage(fmt::format("{}; see --help", what));
  } catch (const CLI::ExtrasError&) {
    return report_usage(fmt::format("{}; see --help", unexpected(*app_, app_->remaining(true))));
  } catch (const CLI::ParseError& error) {
    return report_usage(fmt::format("{}; see --help", one_line(error.what())));
  }
  return chosen_(context_);
}

}  // namespace millrace::cli
