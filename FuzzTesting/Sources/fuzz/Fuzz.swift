import FuzzBodies
import Glibc

/// libFuzzer's own loop, which its runtime library holds.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ body: @convention(c) (UnsafeRawPointer?, Int) -> CInt
) -> CInt

/// The target that runs: libFuzzer knows one function without context.
nonisolated(unsafe) private var body: FuzzBody = { _ in }

/// Kept for good: at exit a local string would count as leaked.
private let targetName = getenv("MUNTIN_FUZZ_TARGET").map { String(cString: $0) }

/// `MUNTIN_FUZZ_TARGET=NAME fuzz [libFuzzer's options and folders]`; without a target, prints all there are.
///
/// Not an argument, because libFuzzer starts itself again with its own arguments where it merges or minimises.
@main struct Fuzz {
  static func main() {
    guard let name = targetName else {
      for name in fuzzTargets.keys.sorted() { print(name) }
      return
    }
    guard let target = fuzzTargets[name] ?? libraryFuzzTargets[name] else {
      print("no such fuzz target: \(name)")
      exit(2)
    }
    body = target
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(
      runDriver(&count, &arguments) { start, count in
        body(UnsafeRawBufferPointer(start: start, count: count))
        return 0
      })
  }
}
