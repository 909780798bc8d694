#include "places.h"

#include <condition_variable>
#include <mutex>

namespace millrace::detail {
namespace {

struct Gathering {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<PlaceAnswer> answers;
  std::size_t missing = 0;
  std::optional<ClientError> error;

  void note(std::size_t i, Answer answer) {
    std::lock_guard lock(mutex);
    if (!answer.reply) {
      error = std::move(answer.reply.error());
    } else if (const wire::OffsetList* list = answer.reply->reply().body_as_OffsetList()) {
      answers[i] = {list->offset(), list->start_offset(), list->end_offset()};
    } else {
      error = unexpected_reply("list offsets").error();
    }
    --missing;
    changed.notify_one();
  }
};

}  // namespace

Outcome<std::vector<PlaceAnswer>> resolve_places(Connection& connection, const TopicKey& topic,
                                                 const std::vector<PlaceQuestion>& questions) {
  auto gathering = std::make_shared<Gathering>();
  gathering->answers.resize(questions.size());
  gathering->missing = questions.size();
  std::vector<OutgoingRequest> requests;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    OutgoingRequest request;
    request.id = connection.fresh_id();
    request.control =
        encode_list_offsets(request.id, topic, questions[i].partition, questions[i].place);
    request.deadline = SteadyClock::now() + connection.options().timeout;
    request.handler = [gathering, i](Answer answer) { gathering->note(i, std::move(answer)); };
    requests.push_back(std::move(request));
  }
  connection.post([&connection, requests = std::move(requests)]() mutable {
    for (OutgoingRequest& request : requests) connection.submit(std::move(request));
  });
  std::unique_lock lock(gathering->mutex);
  gathering->changed.wait(lock, [&] { return gathering->missing == 0; });
  if (gathering->error) return refuse(*gathering->error);
  return std::move(gathering->answers);
}

}  // namespace millrace::detail
