import Glibc
import Platform
import TestSupport
import Testing

/// What `muntin gpu` does about its sandbox, from outside.
@Suite("A card in its sandbox", .serialized) struct CardTests {
  /// A card of a hub that may be there or not.
  private final class Card {
    let folder: ScratchFolder
    let program: Program
    var hubPath: String { "\(folder.path)/hub.sock" }
    var socketPath: String { "\(folder.path)/gpu.sock" }

    init(_ arguments: [String] = [], hasHub: Bool = false) throws {
      folder = try ScratchFolder()
      let hub = hasHub ? ["--hub", "\(folder.path)/hub.sock"] : []
      program = try Program(
        ["gpu", "--socket-path", "\(folder.path)/gpu.sock"] + hub + arguments, environment: ["MUNTIN_PROBE=secret"])
      try #require(eventually { program.errorsSoFar.contains("sandbox") }, "\(program.errorsSoFar)")
    }

    deinit { program.signal(SIGKILL) }

    /// A line of each thread's status, such as "Seccomp:".
    func status(_ key: String) -> [String] {
      ScratchFolder.names(in: "/proc/\(program.pid)/task").compactMap { thread in
        Files.text("/proc/\(program.pid)/task/\(thread)/status").split(separator: "\n")
          .first { $0.hasPrefix(key) }.map { $0.dropFirst(key.utf8.count).trimmed }
      }
    }

    /// The process that connects for it.
    var connector: Int32? {
      Files.text("/proc/\(program.pid)/task/\(program.pid)/children").split(separator: " ").first.flatMap { Int32($0) }
    }

    func isLinked() throws -> Bool {
      try Program.run("list", "vms", "--json", "--hub", hubPath).output.contains("\"vm\"")
    }
  }

  @Test("every thread is in it") func threads() throws { try checkThreads([]) }

  @Test("drivers' threads are in it, too", .enabled(if: Probe.canDraw, Probe.skipped)) func drivers() throws {
    try checkThreads(["--virgl"])
  }

  private func checkThreads(_ arguments: [String]) throws {
    let card = try Card(arguments)
    #expect(card.status("Seccomp:").allSatisfy { $0 == "2" })
    #expect(card.status("NoNewPrivs:").allSatisfy { $0 == "1" })
    #expect(card.status("Seccomp:").count >= (arguments.isEmpty ? 1 : 2))
    #expect(Files.text("/proc/\(card.program.pid)/status").contains("CapEff:\t0000000000000000"))
    #expect(!Files.text("/proc/\(card.program.pid)/environ").contains("secret"))
    let connector = try #require(card.connector)
    #expect(eventually { Files.text("/proc/\(connector)/status").contains("Seccomp:\t2") })
  }

  @Test("the log says what is in force") func log() throws {
    let card = try Card()
    #expect(card.program.errorsSoFar.contains("calls=\"seccomp, "), "\(card.program.errorsSoFar)")
    #expect(card.program.errorsSoFar.contains("files="))
  }

  @Test("that there is none is loud") func off() throws {
    let card = try Card(["--sandbox", "off"])
    #expect(card.program.errorsSoFar.contains("warning NO SANDBOX"), "\(card.program.errorsSoFar)")
    #expect(card.status("Seccomp:") == ["0"])
    #expect(card.connector == nil)
  }

  @Test("it finds the hub, and the hub that comes after it") func hub() throws {
    let card = try Card(["--vm", "vm"], hasHub: true)
    for _ in 0..<2 {
      let hub = try Program(["hub", "--socket-path", card.hubPath])
      #expect(try eventually { try card.isLinked() }, "\(card.program.errorsSoFar)")
      hub.signal(SIGKILL)
      _ = hub.wait()
    }
  }

  @Test("hub and compositor have a filter, too", arguments: [["hub", "--socket-path"], ["compositor", "--hub"]])
  func parts(_ arguments: [String]) throws {
    let folder = try ScratchFolder()
    let program = try Program(arguments + ["\(folder.path)/hub.sock"])
    defer { program.signal(SIGKILL) }
    #expect(eventually { Files.text("/proc/\(program.pid)/status").contains("Seccomp:\t2") })
    #expect(Files.text("/proc/\(program.pid)/status").contains("NoNewPrivs:\t1"))
  }

  @Test("it ends when it needs a connector that has died, and is not harmed before") func connector() throws {
    let card = try Card(["--vm", "vm"], hasHub: true)
    let hub = try Program(["hub", "--socket-path", card.hubPath])
    #expect(try eventually { try card.isLinked() })
    kill(try #require(card.connector), SIGKILL)
    usleep(200_000)
    #expect(try card.isLinked())
    hub.signal(SIGKILL)
    _ = hub.wait()
    let result = card.program.wait()
    #expect(result.code == 1)
    #expect(result.errors.contains("the card's connector has ended"), "\(result.errors)")
  }

  @Test("it takes its socket's file and its connector along") func end() throws {
    let card = try Card()
    let connector = try #require(card.connector)
    #expect(access(card.socketPath, F_OK) == 0)
    card.program.signal(SIGTERM)
    #expect(card.program.wait().code == 0)
    #expect(access(card.socketPath, F_OK) != 0)
    #expect(eventually { kill(connector, 0) != 0 })
  }
}

/// Small files, and what stands in them.
private enum Files {
  static func text(_ path: String) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}

extension Substring {
  fileprivate var trimmed: String { String(drop { $0 == " " || $0 == "\t" }) }
}
