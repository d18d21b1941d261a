import Glibc
import Platform

/// Takes a child's output line by line.
///
/// The pipe outlives the child, so that a restarted one goes on writing to it.
final class OutputRelay {
  /// A longer line is passed on in pieces.
  static let longestLine = 4096
  /// How much is read at one event, so that a child that never stops printing leaves time for the others.
  private static let chunkSize = 16384

  /// The end that children write to.
  let input: SharedDescriptor
  private let output: SharedDescriptor
  private let emit: (_ line: String) -> Void
  private var partial: [UInt8] = []
  private var chunk = [UInt8](repeating: 0, count: chunkSize)

  /// Watches the pipe on `loop` for as long as the process lives.
  init(loop: EventLoop, _ emit: @escaping (_ line: String) -> Void) throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .last("pipe") }
    output = SharedDescriptor(FileDescriptor(adopting: ends[0]))
    input = SharedDescriptor(FileDescriptor(adopting: ends[1]))
    self.emit = emit
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    try UnixSocket.setNonBlocking(output.raw, true)
    _ = try loop.watch(output.raw, for: .readable) { [self] _ in _ = readChunk() }
  }

  /// Passes on all that is there, an unfinished line too: the child has ended.
  func finish() {
    // What a dead child left fits the pipe; a group that goes on writing is not waited for.
    for _ in 0..<16 where readChunk() {}
    if !partial.isEmpty { flush() }
  }

  private func readChunk() -> Bool {
    let count = read(output.raw, &chunk, chunk.count)
    guard count > 0 else { return false }
    for byte in chunk[..<count] {
      if byte == UInt8(ascii: "\n") {
        flush()
      } else {
        partial.append(byte)
        if partial.count == Self.longestLine { flush() }
      }
    }
    return true
  }

  private func flush() {
    if partial.last == UInt8(ascii: "\r") { partial.removeLast() }
    emit(Self.printable(partial))
    partial.removeAll(keepingCapacity: true)
  }

  /// The line with control characters shown, as ^X, instead of sent to the terminal: a guest's console may say anything.
  static func printable(_ line: [UInt8]) -> String {
    guard line.contains(where: isControl) else { return String(decoding: line, as: UTF8.self) }
    var shown: [UInt8] = []
    for byte in line {
      if isControl(byte) { shown += [UInt8(ascii: "^"), byte ^ 0x40] } else { shown.append(byte) }
    }
    return String(decoding: shown, as: UTF8.self)
  }

  private static func isControl(_ byte: UInt8) -> Bool {
    byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7F
  }
}
