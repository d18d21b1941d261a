import FuzzBodies
import Glibc

/// libFuzzer's own main program, as a function (FuzzerInterface.h).
@_extern(c, "LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// `FUZZ_TARGET=NAME Fuzz [libFuzzer's arguments]`; without a name it lists the targets. Built by `make fuzz` only.
@main struct Fuzz {
  static let target: FuzzBody? = getenv("FUZZ_TARGET").flatMap { fuzzTargets[String(cString: $0)] }

  static func main() {
    guard target != nil else {
      for name in fuzzTargets.keys.sorted() { print(name) }
      return
    }
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(
      runFuzzer(&count, &arguments) { bytes, count in
        Fuzz.target?(UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
      })
  }
}
