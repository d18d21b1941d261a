import Foundation
import Glibc
import Testing

extension Library {
  /// Documentation/libmuntin.md does what it says.
  @Suite struct DocumentationTests {
    /// The block of that language after the fence.
    private func block(_ language: String) throws -> String {
      let text = try String(contentsOfFile: Installed.project + "/Documentation/libmuntin.md", encoding: .utf8)
      let parts = text.components(separatedBy: "```\(language)\n")
      try #require(parts.count == 2, "one \(language) block")
      return try #require(parts[1].components(separatedBy: "\n```").first)
    }

    @Test func `the client in 60 lines has no more, and its commands print what is promised`() throws {
      let folder = Folder()
      let program = try block("c")
      #expect(program.split(separator: "\n", omittingEmptySubsequences: false).count <= 60)
      try program.write(toFile: folder.path + "/watch.c", atomically: true, encoding: .utf8)
      let shell = try Running(
        "/bin/bash", ["-euc", try block("sh")], in: folder.path,
        environment: [
          "MUNTIN_SOURCES": Installed.project, "PREFIX": folder.path + "/prefix", "MUNTIN": Installed.built + "/muntin",
        ])
      #expect(try shell.end() == 0, "\(shell.output)")
      let lines = shell.lines
      let first = try #require(lines.firstIndex(of: "640x480"), "\(shell.output)")
      let pattern = /\d+: \d+,\d+ \d+x\d+, first pixel [0-9a-f]{6}/
      let frames = lines[first...].filter { $0.wholeMatch(of: pattern) != nil }
      #expect(frames.count >= 10, "\(shell.output)")
      #expect(lines.contains("over: its owner is gone"))
    }
  }
}
