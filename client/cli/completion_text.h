// The text of scripts/completion/millrace.bash, put into the program by the build.
#pragma once

namespace millrace::cli {
extern const char completion_bash_text[];
}  // namespace millrace::cli
