#include "millrace/event.h"

#include "schemas/batch_body.h"

namespace millrace {

std::vector<HeaderField> EventView::headers() const {
  std::vector<HeaderView> views;
  std::vector<HeaderField> fields;
  // Received headers were verified with their batch; bytes from elsewhere that are not whole give
  // none.
  if (!decode_headers(as_bytes(raw_headers), views)) return fields;
  fields.reserve(views.size());
  for (const HeaderView& view : views)
    fields.push_back({std::string(view.name), std::string(as_text(view.value))});
  return fields;
}

}  // namespace millrace
