import ArgumentParser
import Glibc

/// Measures Muntin beside QEMU's own program, in turn, in one run.
@main
struct MuntinBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muntin-bench",
    abstract: "Measures Muntin beside QEMU's vhost-user-gpu: A B, B A, A B ... in one run.",
    discussion:
      "The ratio of a figure is the median of the rounds' ratios, so that what disturbs the machine disturbs both.")

  @Option(help: "The muntin program. Default: the one beside this program.")
  var muntin: String?

  @Option(help: "QEMU's back-end.")
  var reference = "/usr/lib/qemu/vhost-user-gpu"

  @Option(help: ArgumentHelp("QEMU 11, for real guests.", valueName: "path"))
  var qemu: String?

  @Option(help: ArgumentHelp("The guests' kernel.", valueName: "path"))
  var kernel: String?

  @Option(help: ArgumentHelp("Their initramfs, with muntin-bench-guest in it.", valueName: "path"))
  var initrd: String?

  @Option(help: ArgumentHelp("Debian's QEMU, for guests that draw in 3D.", valueName: "path"))
  var debianQemu = "/usr/bin/qemu-system-x86_64"

  @Option(help: ArgumentHelp("The root file system of guests that draw in 3D.", valueName: "path"))
  var root: String?

  @Option(
    help: ArgumentHelp(
      "A disk of theirs: an archive of card3d and one_mode.so (Tests/Guests/programs).", valueName: "path"))
  var programs: String?

  @Option(help: "How many rounds.")
  var rounds = 15

  @Option(
    help: "Only these parts, with commas between: \(Bench.Part.allCases.map(\.rawValue).joined(separator: ", ")).")
  var only: String?

  @Option(help: "Also write the report, as Markdown, to this file.")
  var output: String?

  @Option(
    help: ArgumentHelp("A line about what is measured, for the report; may be repeated.", valueName: "NAME: TEXT"))
  var describe: [String] = []

  @Flag(help: "Put the reference on both sides: the ratios show how much the method itself wavers.")
  var selfCheck = false

  @Flag(help: "Have the consumer take no link: its flushes pass the hub.")
  var withoutLinks = false

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds must be above 0") }
    _ = try parts()
  }

  func run() throws {
    let subjects = Programs(
      muntin: muntin ?? Self.neighbour("muntin"), reference: reference, measuresReferenceTwice: selfCheck,
      usesLinks: !withoutLinks)
    let bench = Bench(subjects, guests: guests, renderedGuests: renderedGuests, rounds: rounds, parts: try parts()) {
      Self.tell($0)
    }
    try bench.run()
    let report = Report(results: bench.results)
    print("\n\(report.text)\n\n\(report.summary)")
    guard let output else { return }
    guard TextFile.write(bench.page(report, describing: describe), to: output) else {
      throw BenchError.program(output, "cannot be written")
    }
  }

  /// Nil where not all of them were given.
  private var guests: Machine.Files? {
    guard let qemu, let kernel, let initrd else { return nil }
    return Machine.Files(qemu: qemu, kernel: kernel, initrd: initrd)
  }

  /// Nil where not all of them were given.
  private var renderedGuests: Machine.RenderedFiles? {
    guard let kernel, let initrd, let root, let programs else { return nil }
    return Machine.RenderedFiles(qemu: debianQemu, kernel: kernel, initrd: initrd, root: root, programs: programs)
  }

  private func parts() throws -> Set<Bench.Part> {
    guard let only else { return Set(Bench.Part.allCases) }
    return Set(
      try only.split(separator: ",").map { name in
        guard let part = Bench.Part(rawValue: String(name)) else {
          throw ValidationError("there is no part \(name)")
        }
        return part
      })
  }

  /// Progress, which must not wait in a buffer.
  private static func tell(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }

  /// A program in this one's folder.
  private static func neighbour(_ name: String) -> String {
    var room = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &room, room.count - 1)
    guard count > 0 else { return name }
    let own = String(decoding: room[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let slash = own.lastIndex(of: "/") else { return name }
    return own[...slash] + name
  }
}
