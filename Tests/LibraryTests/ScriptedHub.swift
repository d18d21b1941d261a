import Glibc
import Platform
import Testing

/// All tests of libmuntin, one after the other: some wait for processes.
@Suite(.serialized) enum Library {}

/// A hub that says what a test tells it to, over one end of a socket pair.
final class ScriptedHub {
  let socket: SharedDescriptor
  private(set) var received: [MessageBytes] = []
  /// Of all messages so far, in their order.
  private(set) var descriptors: [SharedDescriptor] = []
  private(set) var isClosed = false

  init(_ raw: Int32) throws {
    socket = SharedDescriptor(FileDescriptor(adopting: raw))
    try UnixSocket.setNonBlocking(raw, true)
  }

  /// A hub and an application connected to it; the hub has said welcome.
  static func pair(_ name: String = "tester", greets: Bool = true) throws -> (ScriptedHub, Application) {
    let (first, second) = try UnixSocket.pair(.sequencedPacket).take()
    let hub = try ScriptedHub(first)
    let application = try Application(name, socket: second)
    if greets {
      hub.send(.welcome())
      #expect(application.events().map(\.kind) == [.connected])
      hub.receive()
      hub.forget()
    }
    return (hub, application)
  }

  func send(_ messages: MessageBytes..., descriptors: [Int32] = []) {
    send(messages.flatMap(\.bytes), descriptors: descriptors)
  }

  func send(_ bytes: [UInt8], descriptors: [Int32] = []) {
    do {
      _ = try bytes.withUnsafeBytes { try UnixSocket.send(socket.raw, $0, descriptors: descriptors) }
    } catch {
      Issue.record("the hub cannot send: \(error)")
    }
  }

  /// Takes in what has come, message by message.
  @discardableResult
  func receive() -> [MessageBytes] {
    var room = [UInt8](repeating: 0, count: 65_536), news: [MessageBytes] = []
    while !isClosed {
      var raws: [Int32] = []
      let result = room.withUnsafeMutableBytes {
        try? UnixSocket.receive(socket.raw, into: $0, descriptors: &raws)
      }
      descriptors += raws.map { SharedDescriptor(FileDescriptor(adopting: $0)) }
      switch result {
      case .bytes(let count, _): news += MessageBytes.messages(of: Array(room[..<count]))
      case .wouldBlock: return news.also { received += $0 }
      case .closed, nil: isClosed = true
      }
    }
    return news.also { received += $0 }
  }

  /// The next message of that kind among those that have come.
  func expect(_ kind: MessageBytes.Kind, source: SourceLocation = #_sourceLocation) throws -> MessageBytes {
    receive()
    let index = try #require(
      received.firstIndex { $0.kind == kind }, "no \(kind) among \(received.map(\.type))", sourceLocation: source)
    return received.remove(at: index)
  }

  func forget() {
    received.removeAll()
    descriptors.removeAll()
  }
}

extension Array {
  fileprivate func also(_ body: (Self) -> Void) -> Self {
    body(self)
    return self
  }
}

/// What a descriptor is open on; other tests of this process have descriptors of their own.
struct OpenFile: Equatable {
  private let device: UInt64, number: UInt64

  init?(_ raw: Int32) {
    var status = stat()
    guard fstat(raw, &status) == 0 else { return nil }
    (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
  }

  /// How many descriptors of this process are open on it.
  var descriptors: Int { (0..<Int32(4096)).count { OpenFile($0) == self } }
}

/// A memory file with the given first bytes, read-only unless writable.
func memoryFile(_ bytes: [UInt8] = [], count: Int = 12288, isWritable: Bool = false) throws -> SharedDescriptor {
  let file = try SharedMemoryFile(name: "test", count: count)
  if !bytes.isEmpty { #expect(pwrite(file.writable.raw, bytes, bytes.count, 0) == bytes.count) }
  return SharedDescriptor(isWritable ? file.takeWritable() : try file.readOnly())
}

/// A file of which nobody says that it cannot shrink.
func unsealedFile(count: Int = 12288) throws -> SharedDescriptor {
  var path = Array("/tmp/muntin-library-XXXXXX".utf8CString)
  let file = FileDescriptor(adopting: mkstemp(&path))
  unlink(path)
  #expect(ftruncate(file.raw, count) == 0)
  return SharedDescriptor(file)
}
