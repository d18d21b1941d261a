import Platform

/// The flushes of one scanout that are not latched yet, oldest first, each with the time at which waiting ends.
struct FlushQueue {
  private struct Entry {
    var serial: UInt64
    let deadline: MonotonicTime
  }

  /// More flushes than this share the deadline of the newest entry.
  static let capacity = 4096

  private var entries: [Entry] = []
  private var head = 0

  var isEmpty: Bool { head == entries.count }
  /// When the oldest flush has waited long enough.
  var nextDeadline: MonotonicTime? { isEmpty ? nil : entries[head].deadline }

  mutating func append(serial: UInt64, deadline: MonotonicTime) {
    if entries.count - head >= Self.capacity {
      entries[entries.count - 1].serial = serial
    } else {
      if head > Self.capacity { compact() }
      entries.append(Entry(serial: serial, deadline: deadline))
    }
  }

  /// Takes out what is done through `serial`; whether there was anything.
  mutating func remove(through serial: UInt64) -> Bool {
    let start = head
    while head < entries.count && entries[head].serial <= serial { head += 1 }
    let found = head > start
    compactIfEmpty()
    return found
  }

  /// Takes out what has waited long enough; the newest serial among it.
  mutating func removeExpired(at now: MonotonicTime) -> UInt64? {
    var last: UInt64?
    while head < entries.count && entries[head].deadline <= now {
      last = entries[head].serial
      head += 1
    }
    compactIfEmpty()
    return last
  }

  private mutating func compactIfEmpty() {
    guard head == entries.count else { return }
    entries.removeAll(keepingCapacity: true)
    head = 0
  }

  private mutating func compact() {
    entries.removeFirst(head)
    head = 0
  }
}
