import CLinux

/// Which of the watched descriptors are ready (epoll).
struct Poller: ~Copyable {
  /// What `wait` calls.
  static let waitCall = "epoll_wait"

  private let epoll: FileDescriptor
  private var events = [muntin_epoll_event](repeating: muntin_epoll_event(), count: 64)

  init() throws(SystemError) {
    let raw = muntin_epoll_create()
    guard raw >= 0 else { throw .last("epoll_create1") }
    epoll = FileDescriptor(adopting: raw)
  }

  mutating func add(
    _ raw: Int32, for interest: EventLoop.Readiness, as token: EventLoop.Token
  ) throws(SystemError) {
    guard muntin_epoll_ctl(epoll.raw, 1, raw, Self.mask(interest), Self.word(token)) == 0 else {
      throw .last("epoll_ctl(ADD)")
    }
  }

  mutating func change(_ raw: Int32, to interest: EventLoop.Readiness, as token: EventLoop.Token) {
    _ = muntin_epoll_ctl(epoll.raw, 3, raw, Self.mask(interest), Self.word(token))
  }

  mutating func remove(_ raw: Int32, as token: EventLoop.Token) {
    _ = muntin_epoll_ctl(epoll.raw, 2, raw, 0, 0)
  }

  /// Waits at most so long (negative: for ever). How many events there are; negative with `errno` when it failed.
  mutating func wait(nanoseconds: Int64) -> Int32 {
    muntin_epoll_wait(epoll.raw, &events, Int32(events.count), nanoseconds)
  }

  /// One of the events that the last `wait` found.
  func event(_ index: Int) -> (token: EventLoop.Token, readiness: EventLoop.Readiness) {
    let event = events[index]
    var readiness: EventLoop.Readiness = []
    if event.events & UInt32(MUNTIN_EPOLLIN) != 0 { readiness.insert(.readable) }
    if event.events & UInt32(MUNTIN_EPOLLOUT) != 0 { readiness.insert(.writable) }
    if event.events & UInt32(MUNTIN_EPOLLHUP | MUNTIN_EPOLLERR | MUNTIN_EPOLLRDHUP) != 0 { readiness.insert(.hangup) }
    let slot = UInt32(truncatingIfNeeded: event.data)
    return (EventLoop.Token(slot: slot, generation: UInt32(event.data >> 32)), readiness)
  }

  private static func word(_ token: EventLoop.Token) -> UInt64 {
    UInt64(token.generation) << 32 | UInt64(token.slot)
  }

  private static func mask(_ interest: EventLoop.Readiness) -> UInt32 {
    var mask = 0
    if interest.contains(.readable) { mask |= Int(MUNTIN_EPOLLIN) }
    if interest.contains(.writable) { mask |= Int(MUNTIN_EPOLLOUT) }
    if interest.contains(.edge) { mask |= Int(MUNTIN_EPOLLET) }
    return UInt32(mask)
  }
}
