import CLinux
import CPOSIX
import Glibc

/// Socket calls that do in one step on Linux what takes several elsewhere.
enum SystemSocket {
  static let knowsPeers = true

  static func open(_ type: Int32) -> Int32 {
    socket(AF_UNIX, type | Int32(SOCK_CLOEXEC.rawValue), 0)
  }

  static func pair(_ type: Int32, _ ends: UnsafeMutablePointer<Int32>) -> Int32 {
    socketpair(AF_UNIX, type | Int32(SOCK_CLOEXEC.rawValue), 0, ends)
  }

  static func accept(_ raw: Int32) -> Int32 { muntin_accept(raw) }

  static func send(
    _ raw: Int32, _ bytes: UnsafeRawBufferPointer, _ descriptors: UnsafeBufferPointer<Int32>, wait: Bool
  ) -> Int {
    let flags = wait ? 0 : Int32(MUNTIN_DONTWAIT)
    return muntin_send(raw, bytes.baseAddress, bytes.count, descriptors.baseAddress, Int32(descriptors.count), flags)
  }

  /// Sends pieces that are not beside each other; never waits.
  static func send(_ raw: Int32, _ pieces: UnsafeMutableBufferPointer<iovec>) -> Int {
    var message = msghdr()
    message.msg_iov = pieces.baseAddress
    message.msg_iovlen = pieces.count
    return sendmsg(raw, &message, Int32(MSG_NOSIGNAL) | Int32(MUNTIN_DONTWAIT))
  }

  static func receive(
    _ raw: Int32, _ room: UnsafeMutableRawBufferPointer, _ descriptors: UnsafeMutableBufferPointer<Int32>,
    _ count: inout Int32, _ truncated: inout Int32, wait: Bool
  ) -> Int {
    let flags = Int32(MUNTIN_CMSG_CLOEXEC) | (wait ? 0 : Int32(MUNTIN_DONTWAIT))
    return muntin_receive(raw, room.baseAddress, room.count, descriptors.baseAddress, &count, &truncated, flags)
  }

  /// Looks at the next byte; never waits. As recv(2).
  static func peek(_ raw: Int32) -> Int {
    var byte: UInt8 = 0
    return recv(raw, &byte, 1, Int32(MSG_PEEK) | Int32(MUNTIN_DONTWAIT))
  }

  static func peerCredentials(_ raw: Int32) throws(SystemError) -> UnixSocket.PeerCredentials? {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    guard muntin_peer_credentials(raw, &pid, &uid, &gid) == 0 else { throw .last("getsockopt(SO_PEERCRED)") }
    return UnixSocket.PeerCredentials(pid: pid, uid: uid, gid: gid)
  }
}
