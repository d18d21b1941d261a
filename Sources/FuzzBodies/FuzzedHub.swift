import Hub
import HubProtocol
import Platform

/// A hub and four connections to it that say what a fuzzer wants.
final class FuzzedHub {
  let hub: Hub
  let loop: EventLoop
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Wire.maximumPacketByteCount, alignment: 8)
  private var peers: [SharedDescriptor?] = [nil, nil, nil, nil]

  init(_ configure: (inout Hub.Configuration) -> Void = { _ in }) throws(SystemError) {
    loop = try EventLoop()
    var configuration = Hub.Configuration()
    configuration.grace = .zero
    configuration.goneRetention = .zero
    configure(&configuration)
    hub = Hub(loop: loop, configuration: configuration)
  }

  deinit { room.deallocate() }

  var count: Int { peers.count }

  func turn() {
    for _ in 0..<3 { try? loop.runOnce(timeout: .zero) }
  }

  /// Closes a connection, as a death does.
  func drop(_ slot: Int) { peers[slot] = nil }

  private func peer(_ slot: Int) -> SharedDescriptor? {
    if let peer = peers[slot] { return peer }
    guard let (near, far) = try? UnixSocket.pair(.sequencedPacket).take() else { return nil }
    hub.serve(FileDescriptor(adopting: far))
    let peer = SharedDescriptor(FileDescriptor(adopting: near))
    peers[slot] = peer
    return peer
  }

  func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = [], to slot: Int) {
    guard !bytes.isEmpty, let peer = peer(slot) else { return }
    do {
      _ = try UnixSocket.send(peer.raw, bytes, descriptors: descriptors)
    } catch {
      peers[slot] = nil
    }
  }

  func say(_ message: Message, serial: UInt64 = 1, descriptor: Int32? = nil, to slot: Int) {
    guard let count = message.encode(serial: serial, carriesDescriptor: descriptor != nil, into: room) else { return }
    send(UnsafeRawBufferPointer(rebasing: room[..<count]), descriptors: descriptor.map { [$0] } ?? [], to: slot)
  }

  /// Reads what the hub said, which must be well formed.
  @discardableResult
  func drain(_ slot: Int) -> [Message] {
    var messages: [Message] = []
    guard let peer = peers[slot] else { return [] }
    var descriptors: [Int32] = []
    while case .bytes(let count, _)? = try? UnixSocket.receive(peer.raw, into: room, descriptors: &descriptors) {
      do {
        try PacketParser.parse(UnsafeRawBufferPointer(rebasing: room[..<count]), descriptors: descriptors) {
          messages.append($0)
          _ = $1
          _ = $2
          return true
        }
      } catch {
        fatalError("the hub said nonsense: \(error)")
      }
      descriptors.removeAll()
    }
    return messages
  }

  /// Everybody leaves: nothing of them may be left in the hub.
  func expectNothingLeft(_ name: PeerName?) {
    for slot in peers.indices { peers[slot] = nil }
    turn()
    turn()
    guard let name else { return }
    say(.hello(Hello(role: .control, name: name)), to: 0)
    say(.list(.buffers, cursor: 0), to: 0)
    turn()
    for message in drain(0) {
      if case .bufferRecord(let record) = message { fatalError("a buffer is left: \(record)") }
    }
    hub.close()
  }
}
