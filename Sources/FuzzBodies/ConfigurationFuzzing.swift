import Supervisor

/// Reads the input as a configuration file: it is right, or wrong on one of its lines.
@Sendable public func fuzzConfiguration(_ input: UnsafeRawBufferPointer) {
  let text = Array(input)
  do {
    _ = try Configuration(text: text, file: "fuzz.toml")
  } catch {
    let lineCount = text.count { $0 == UInt8(ascii: "\n") } + 1
    precondition((1...lineCount).contains(error.line ?? 0), "\(error)")
  }
}
