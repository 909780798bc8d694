// millrace completion bash: the script of scripts/completion/millrace.bash, which is also
// installed.
#include "commands.h"
#include "completion_text.h"
#include "summary.h"

namespace millrace::cli {

int completion_bash(const Context&) {
  print_text(completion_bash_text);
  return exit_code::done;
}

}  // namespace millrace::cli
