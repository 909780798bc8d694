// Checks a whole data directory without a broker: identity, topics, and the log of every partition.
// Reads only.
#pragma once

#include "storage/base/result.h"
#include "storage/inspect/inspection.h"

#include <string>

namespace millrace::inspect {

// Errors: data_dir_refused or not_found when `path` is not a data directory; everything else is a
// fault of the report.
Result<DirectoryReport> inspect_directory(const std::string& path, Depth depth,
                                          ProgressSink progress = {});

}  // namespace millrace::inspect
