import CPOSIX
import Glibc

/// Marks a descriptor close-on-exec.
func closeOnExec(_ raw: Int32) {
  _ = fcntl(raw, F_SETFD, FD_CLOEXEC)
}

/// Socket calls out of what POSIX has: no flag says for one call that it must not wait, so a socket used that way is
/// made non-blocking, and who wants to wait polls.
enum SystemSocket {
  static let knowsPeers = false

  static func open(_ type: Int32) -> Int32 {
    let raw = socket(AF_UNIX, type, 0)
    if raw >= 0 { closeOnExec(raw) }
    return raw
  }

  static func pair(_ type: Int32, _ ends: UnsafeMutablePointer<Int32>) -> Int32 {
    let result = socketpair(AF_UNIX, type, 0, ends)
    if result == 0 { for index in 0..<2 { closeOnExec(ends[index]) } }
    return result
  }

  static func accept(_ raw: Int32) -> Int32 {
    let connection = Glibc.accept(raw, nil, nil)
    if connection >= 0 {
      closeOnExec(connection)
      makeNonBlocking(connection)
    }
    return connection
  }

  static func send(
    _ raw: Int32, _ bytes: UnsafeRawBufferPointer, _ descriptors: UnsafeBufferPointer<Int32>, wait: Bool
  ) -> Int {
    if !wait { makeNonBlocking(raw) }
    var sent = 0
    repeat {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
      let list = sent == 0 ? descriptors : UnsafeBufferPointer(rebasing: descriptors[..<0])
      let count = muntin_send(raw, rest.baseAddress, rest.count, list.baseAddress, Int32(list.count), 0)
      if count >= 0 {
        sent += count
      } else if !wait || errno != EAGAIN && errno != EINTR {
        return sent > 0 ? sent : count
      } else {
        sleep(until: POLLOUT, raw)
      }
    } while wait && sent < bytes.count
    return sent
  }

  /// Sends pieces that are not beside each other; never waits.
  static func send(_ raw: Int32, _ pieces: UnsafeMutableBufferPointer<iovec>) -> Int {
    makeNonBlocking(raw)
    var message = msghdr()
    message.msg_iov = pieces.baseAddress
    message.msg_iovlen = pieces.count
    return sendmsg(raw, &message, Int32(MSG_NOSIGNAL))
  }

  static func receive(
    _ raw: Int32, _ room: UnsafeMutableRawBufferPointer, _ descriptors: UnsafeMutableBufferPointer<Int32>,
    _ count: inout Int32, _ truncated: inout Int32, wait: Bool
  ) -> Int {
    if !wait { makeNonBlocking(raw) }
    let capacity = count
    while true {
      count = capacity
      let received = muntin_receive(
        raw, room.baseAddress, room.count, descriptors.baseAddress, &count, &truncated, 0)
      if received >= 0 {
        for index in 0..<Int(count) { closeOnExec(descriptors[index]) }
        return received
      }
      guard wait, errno == EAGAIN else { return received }
      sleep(until: POLLIN, raw)
    }
  }

  /// Looks at the next byte; never waits. As recv(2).
  static func peek(_ raw: Int32) -> Int {
    makeNonBlocking(raw)
    var byte: UInt8 = 0
    return recv(raw, &byte, 1, Int32(MSG_PEEK))
  }

  /// POSIX has no way to ask.
  static func peerCredentials(_ raw: Int32) throws(SystemError) -> UnixSocket.PeerCredentials? { nil }

  private static func makeNonBlocking(_ raw: Int32) {
    let flags = fcntl(raw, F_GETFL)
    if flags >= 0 && flags & O_NONBLOCK == 0 { _ = fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
  }

  private static func sleep(until event: Int32, _ raw: Int32) {
    var entry = pollfd(fd: raw, events: Int16(event), revents: 0)
    _ = poll(&entry, 1, -1)
  }
}
