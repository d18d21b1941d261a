import Glibc
import Platform

extension Conversation {
  /// How long others may take to come back after the hub.
  private static let returnPatience = Duration.seconds(10)
  private static let returnPause = Duration.milliseconds(250)

  /// Whether the channel ends within a second. A hub that dies takes screens away first, in whatever order its connections
  /// are closed.
  var isOverSoon: Bool {
    let end = MonotonicTime.now + .seconds(1)
    do throws(GuestError) {
      while try next(until: end) != nil {}
      return false
    } catch {
      return error == .channelOver
    }
  }

  /// The hub has gone: waits for it, for as long as it takes, and for what `find` looks for there, for some seconds. Says
  /// once that it waits.
  ///
  /// - Parameter meanwhile: what to do whenever a file has something to read.
  func whenHubIsBack<Found>(
    or other: Int32? = nil, _ meanwhile: () throws(GuestError) -> Void = {}, _ find: () throws(GuestError) -> Found
  ) throws(GuestError) -> Found {
    Warning.print("the host's hub has ended the channel; waiting for it to come back")
    var end: MonotonicTime?
    while true {
      do throws(GuestError) {
        if end == nil { try beginAnew() }
        end = end ?? .now + Self.returnPatience
        return try find()
      } catch .channelOver {
        end = nil
      } catch {
        guard let end, error.mayPass, .now < end else { throw error }
      }
      try pause(or: other, meanwhile)
    }
  }

  private func pause(or other: Int32?, _ meanwhile: () throws(GuestError) -> Void) throws(GuestError) {
    let end = MonotonicTime.now + Self.returnPause
    while case let left = (end - .now).nanoseconds, left > 0 {
      var poller = pollfd(fd: other ?? -1, events: Int16(POLLIN), revents: 0)
      if poll(&poller, 1, Int32(clamping: left / 1_000_000 + 1)) > 0 { try meanwhile() }
    }
  }
}

extension GuestError {
  /// Whether it is so only until an owner has come back to the hub as well.
  fileprivate var mayPass: Bool {
    switch self {
    case .noSuchBuffer, .noSuchScreen: true
    default: false
    }
  }
}
