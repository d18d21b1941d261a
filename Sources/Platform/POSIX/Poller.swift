import Glibc

/// Which of the watched descriptors are ready (poll).
struct Poller: ~Copyable {
  /// What `wait` calls.
  static let waitCall = "poll"

  private struct Watch {
    var token = EventLoop.Token(slot: 0, generation: 0)
    var isEdge = false
  }

  /// By slot; the descriptor is negative where there is nothing to wait for.
  private var entries: [pollfd] = []
  private var watches: [Watch] = []
  /// What the last `wait` found.
  private var events: [(token: EventLoop.Token, readiness: EventLoop.Readiness)] = []

  init() throws(SystemError) {}

  mutating func add(
    _ raw: Int32, for interest: EventLoop.Readiness, as token: EventLoop.Token
  ) throws(SystemError) {
    guard Self.canWait(for: raw) else { throw SystemError(call: "poll", code: EPERM) }
    if interest.contains(.edge) { try UnixSocket.setNonBlocking(raw, true) }
    while entries.count <= Int(token.slot) {
      entries.append(pollfd(fd: -1, events: 0, revents: 0))
      watches.append(Watch())
    }
    watches[Int(token.slot)] = Watch(token: token, isEdge: interest.contains(.edge))
    change(raw, to: interest, as: token)
  }

  mutating func change(_ raw: Int32, to interest: EventLoop.Readiness, as token: EventLoop.Token) {
    var wanted: Int32 = 0
    if interest.contains(.readable) { wanted |= POLLIN }
    if interest.contains(.writable) { wanted |= POLLOUT }
    entries[Int(token.slot)] = pollfd(fd: raw, events: Int16(wanted), revents: 0)
  }

  mutating func remove(_ raw: Int32, as token: EventLoop.Token) {
    entries[Int(token.slot)].fd = -1
  }

  /// Waits at most so long (negative: for ever), in whole milliseconds, rounded up. How many events there are; negative
  /// with `errno` when it failed.
  mutating func wait(nanoseconds: Int64) -> Int32 {
    events.removeAll(keepingCapacity: true)
    let limit = nanoseconds < 0 ? -1 : Int32(clamping: nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 > 0 ? 1 : 0))
    let count = poll(&entries, nfds_t(entries.count), limit)
    guard count > 0 else { return count }
    for slot in entries.indices where entries[slot].fd >= 0 && entries[slot].revents != 0 { note(slot) }
    return Int32(events.count)
  }

  /// One of the events that the last `wait` found; nobody's, when a handler has waited again meanwhile.
  func event(_ index: Int) -> (token: EventLoop.Token, readiness: EventLoop.Readiness) {
    guard index < events.count else { return (EventLoop.Token(slot: .max, generation: 0), []) }
    return events[index]
  }

  private mutating func note(_ slot: Int) {
    let found = Int32(entries[slot].revents)
    var readiness: EventLoop.Readiness = []
    if found & POLLIN != 0 { readiness.insert(.readable) }
    if found & POLLOUT != 0 { readiness.insert(.writable) }
    if found & (POLLHUP | POLLERR | POLLNVAL) != 0 { readiness.insert(.hangup) }
    if watches[slot].isEdge { takeEdge(slot, &readiness) }
    if !readiness.isEmpty { events.append((watches[slot].token, readiness)) }
  }

  /// poll knows no edges: the bell is silenced here, and one whose other end has gone is not looked at again.
  private mutating func takeEdge(_ slot: Int, _ readiness: inout EventLoop.Readiness) {
    if readiness.contains(.readable) && !Doorbell.drain(entries[slot].fd) { readiness.remove(.readable) }
    if readiness.contains(.hangup) { entries[slot].fd = -1 }
  }

  /// poll calls a file always ready; such a thing is no event.
  private static func canWait(for raw: Int32) -> Bool {
    var status = stat()
    guard fstat(raw, &status) == 0 else { return false }
    let kind = status.st_mode & S_IFMT
    return kind != S_IFREG && kind != S_IFDIR
  }
}
