import GPUDevice
import Glibc
import GuestChannel
import HubProtocol
import Platform
import Testing

/// The host's end of Wayland channels: what a compositor is to its clients, by hand.
final class ScriptedCompositor {
  private(set) var clients: [SharedDescriptor] = []
  /// Whether it takes connections.
  var listens = true

  /// What a card needs to reach it.
  func options(_ name: String) throws -> ChannelOptions {
    var options = ChannelOptions(vm: try #require(PeerName(name)))
    options.connectToWayland = { [unowned self] () throws(SystemError) in
      guard listens else { throw SystemError(call: "connect", code: ECONNREFUSED) }
      let (near, far) = try UnixSocket.pair(.stream).take()
      clients.append(SharedDescriptor(FileDescriptor(adopting: far)))
      try UnixSocket.setNonBlocking(near, true)
      return FileDescriptor(adopting: near)
    }
    return options
  }

  /// What a client has said: as much as there is.
  func hear(_ client: Int = 0) throws -> (bytes: [UInt8], descriptors: [SharedDescriptor])? {
    var room = [UInt8](repeating: 0, count: 65_536)
    var numbers: [Int32] = []
    let raw = clients[client].raw
    let received = try room.withUnsafeMutableBytes { room in
      try UnixSocket.receive(raw, into: room, descriptors: &numbers)
    }
    guard case .bytes(let count, _) = received else { return nil }
    return (Array(room[..<count]), numbers.map { SharedDescriptor(FileDescriptor(adopting: $0)) })
  }

  func say(_ bytes: [UInt8], _ descriptors: [Int32] = [], to client: Int = 0) throws {
    let sent = try bytes.withUnsafeBytes { bytes in
      try UnixSocket.send(clients[client].raw, bytes, descriptors: descriptors)
    }
    #expect(sent == bytes.count)
  }

  /// Whether a client has closed its connection and said nothing more.
  func hasLeft(_ client: Int = 0) -> Bool { UnixSocket.hasEnded(clients[client].raw) }

  func crash() { clients.removeAll() }

  /// Forgets the last client.
  func removeLast() { clients.removeLast() }
}

/// Descriptors that this process has open.
func openDescriptors() -> Int { (0..<1024).count { fcntl($0, F_GETFD) >= 0 } }
