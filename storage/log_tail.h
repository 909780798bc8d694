// Where a log grows: the segment that takes appends, the one before it until all of that is
// durable, and the making and sealing of their files.
//
//   | sealed | sealed | finishing | takes appends |
//                       sealing_    writer_
//
// Trip one: Log::append and Log::flush come in here and go on to SegmentWriter; what became durable
// goes up by Owner::on_committed. A segment exists in memory, and takes batches, before it has a
// file; the file is made when all before it is durable.
//
// Owner: Log. Thread: the shard's. Numbers: it moves the ends of the log's state, and nothing else
// does but a recovery. Fails: a failed write or creation goes to Owner::on_write_failed, once for
// each; what was not durable then stays staged until take_back, or for ever.
#pragma once

#include "storage/log.h"
#include "storage/log_state.h"
#include "storage/segment_create.h"
#include "storage/segment_seal.h"
#include "storage/segment_writer.h"
#include "storage/tail_cache.h"
#include "storage/tail_cut.h"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class LogTail {
 public:
  // Called from reap, never from inside append or flush, where nothing else is said.
  class Owner {
   public:
    // durable_end moved over these batches, oldest first, by a write of so many bytes.
    virtual void on_committed(const std::vector<Buffer>& batches, std::uint64_t bytes) = 0;
    // The active segment has a file.
    virtual void on_segment_made() = 0;
    virtual void on_write_failed(const Error& error) = 0;
    // Whether what is staged may be written. If not, what it waits for is under way, and flush is
    // called when that has ended. Called from inside flush, while nothing is written; nothing is
    // until it has answered yes.
    virtual bool may_commit() = 0;
    // Something of the tail is no longer in flight.
    virtual void on_ended() = 0;

   protected:
    ~Owner() = default;
  };

  // What it is made of outlives it.
  LogTail(const LogEnvironment& environment, const LogIdentity& identity, const LogOptions& options,
          LogState& state, TailCache& cache, Owner& owner);
  LogTail(const LogTail&) = delete;
  LogTail& operator=(const LogTail&) = delete;

  // -- life
  // Goes on in the last segment of the state, which recovery has opened.
  void resume(FileId file, const SegmentWriter::Resume& place);
  // Nothing of it is in flight. Batches may be staged.
  bool idle() const;
  // Closes what is open; an idle tail only. `done` is called at once if nothing is. The next append
  // begins a new segment.
  void close(std::function<void()> done);

  // -- trip one
  // Errors: overloaded while two segments wait for the disk, or without memory.
  Result<OffsetRange> append(const BatchView& batch);
  // Nothing while the log refuses appends or is being taken back.
  void flush();
  std::uint64_t staged_bytes() const;

  // -- after a failed write
  // Forgets all that is not durable, once what was half written has been cut off durably: a later
  // recovery would find it, and it would come back although it was refused.
  void take_back(TailCut::Done done);
  bool is_taking_back() const { return taken_back_ != nullptr; }

  // -- care
  // How many of the newest segments have no file yet.
  std::size_t without_file() const;
  // Makes the file of the segment that the next append goes to before there is one. A fresh one: it
  // may stay empty for long, and a recycled one would hold its space meanwhile.
  void make_file();
  // A quiet log gets no append that would seal its segment, yet what is in it grows old.
  void seal_if_old();
  // All of a quiet log is to be trimmed: the segment that takes appends is to go, too.
  void seal_if_quiet();
  bool is_sealing(const SegmentRef& segment) const;
  // Where the durable end lies, for a checkpoint: a scan may begin there after a crash. None: there
  // is no file that could be scanned.
  struct Place {
    Offset segment_base;
    std::uint64_t segment_id;
    Position position;
    std::uint32_t last_crc;
  };
  std::optional<Place> durable_place() const;

 private:
  bool is_old(WallTime now) const;
  bool fits_segment(const BatchHeader& batch) const;
  bool names_segment(const BatchView& batch) const;
  bool is_quiet() const;
  void roll(WallTime now);
  void begin_segment(WallTime now);
  SegmentHeader next_header(WallTime now) const;
  bool may_commit(const SegmentWriter& writer);
  void create_if_wanted(const SegmentWriter& writer);
  void start_create(const SegmentWriter& writer, SegmentCreate::Take take);
  void on_created(Result<SegmentCreate::Made> made);
  void on_commit(const Result<void>& result);
  void advance_durable();
  void finish_sealing();
  void seal(const SegmentRef& segment, FileId file, IndexFile index);
  void cut();
  void on_cut(const Result<void>& outcome);
  void reset_to_durable();
  void close_next();
  void on_closed(IoResult) { close_next(); }
  std::unique_ptr<SegmentWriter> make_writer(const SegmentHeader& header,
                                             const SegmentWriter::Resume& place);
  // The oldest writer: the one whose batches become durable next.
  SegmentWriter* oldest() const { return sealing_ ? sealing_.get() : writer_.get(); }

  LogEnvironment environment_;
  const LogIdentity& identity_;
  const LogOptions& options_;
  LogState& state_;
  TailCache& cache_;
  Owner& owner_;
  std::unique_ptr<SegmentWriter> writer_;   // takes appends
  std::unique_ptr<SegmentWriter> sealing_;  // the one before it, until all of it is durable
  std::unique_ptr<SegmentCreate> create_;
  std::list<std::unique_ptr<SegmentSeal>> seals_;
  TailCut tail_cut_;
  TailCut::Done taken_back_;  // set: nothing is written until it has been called
  Completion close_io_;
  std::function<void()> closed_;
};

}  // namespace millrace
