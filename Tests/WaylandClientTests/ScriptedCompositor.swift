import Foundation
import Platform
import Synchronization
import Testing

@testable import WaylandClient

/// A compositor that says what a test tells it to, and notes what it is asked for.
///
/// The numbers of the client's objects are known: it counts from 2, and uses numbers again that are free.
final class ScriptedCompositor {
  /// A request that came, by its object, opcode and arguments.
  struct Request: Equatable {
    let object: UInt32
    let opcode: UInt16
    let words: [UInt32]
  }

  private let socket: FileDescriptor
  private var parser = MessageParser()
  private(set) var descriptors: [FileDescriptorBox] = []

  /// Owns a descriptor that came with a request.
  final class FileDescriptorBox {
    let raw: Int32
    init(_ raw: Int32) { self.raw = raw }
    deinit { closeAll([raw]) }
  }

  static let everything = [
    "wl_compositor": 6, "wl_shm": 1, "xdg_wm_base": 5, "wl_output": 4, "zwp_linux_dmabuf_v1": 4,
  ]

  /// One, and the client's end of the connection to it, which the taker owns.
  static func connected() throws -> (ScriptedCompositor, Int32) {
    let ends = try UnixSocket.pair(.stream).take()
    return (ScriptedCompositor(FileDescriptor(adopting: ends.0)), ends.1)
  }

  /// A client that has greeted it: objects 1 (display) and 2 (registry).
  static func greeted(
    _ globals: [String: Int] = everything
  ) throws -> (ScriptedCompositor, WaylandConnection) {
    let (compositor, socket) = try connected()
    for (index, global) in globals.sorted(by: { $0.key < $1.key }).enumerated() {
      try compositor.say(2, 0) {
        $0.word(UInt32(index + 1))
        $0.string(global.key)
        $0.word(UInt32(global.value))
      }
    }
    try compositor.answerSync(3)
    let connection = try WaylandConnection(FileDescriptor(adopting: socket))
    _ = try compositor.requests()
    return (compositor, connection)
  }

  init(_ socket: consuming FileDescriptor) { self.socket = socket }

  // MARK: Saying

  func say(_ object: UInt32, _ opcode: UInt16, _ write: (inout ArgumentWriter) -> Void = { _ in }) throws {
    var writer = ArgumentWriter()
    write(&writer)
    let message = WaylandMessage(object: object, opcode: opcode, arguments: writer.bytes)
    try say(bytes: #require(message.encoded))
  }

  func say(_ object: UInt32, _ opcode: UInt16, words: UInt32...) throws {
    try say(object, opcode) { for word in words { $0.word(word) } }
  }

  func say(bytes: [UInt8], descriptors: [Int32] = []) throws {
    let sent = try bytes.withUnsafeBytes { try UnixSocket.send(socket.raw, $0, descriptors: descriptors) }
    #expect(sent == bytes.count)
  }

  /// A callback is done, and its number free.
  func answerSync(_ callback: UInt32) throws {
    try say(callback, 0, words: 0)
    try say(1, 1, words: callback)
  }

  /// Answers requests as they come, while the body runs.
  func serve<Result>(
    _ answer: @escaping (Request) throws -> Void, during body: () throws -> Result
  ) throws -> Result {
    nonisolated(unsafe) let this = self
    nonisolated(unsafe) let answer = answer
    let state = ServingState()
    Thread.detachNewThread {
      while !state.mustEnd.load(ordering: .acquiring) {
        for request in (try? this.requests()) ?? [] { try? answer(request) }
        usleep(500)
      }
      state.ended.signal()
    }
    defer {
      state.mustEnd.store(true, ordering: .releasing)
      state.ended.wait()
    }
    return try body()
  }

  private final class ServingState: Sendable {
    let mustEnd = Atomic(false)
    let ended = DispatchSemaphore(value: 0)
  }

  // MARK: Hearing

  /// What came since the last time.
  func requests() throws -> [Request] {
    var room = [UInt8](repeating: 0, count: 65_536)
    var raw: [Int32] = []
    while case .bytes(let count, _) = try room.withUnsafeMutableBytes({
      try UnixSocket.receive(socket.raw, into: $0, descriptors: &raw)
    }) {
      room.withUnsafeBytes { parser.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    descriptors += raw.map { FileDescriptorBox($0) }
    var found: [Request] = []
    while let message = try parser.next() {
      var words: [UInt32] = []
      for start in stride(from: 0, to: message.arguments.count, by: 4) {
        words.append(message.arguments.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: UInt32.self) })
      }
      found.append(Request(object: message.object, opcode: message.opcode, words: words))
    }
    return found
  }
}
