import TestSupport
import Testing

@testable import Supervisor

@Suite struct ConfigurationMutationTests {
  private static let scraps: [String] = [
    "[", "]", "[[", "]]", "{", "}", "\"", "'", "\"\"\"", "'''", "\\", "\\u0000", "\\UFFFFFFFF", "#", "\n", "\r", ".",
    ",", "=",
    "-1", "0", "99999999999999999999", "nan", "inf", "1e400", "true", "1979-05-27T07:32:00Z", "vm", "display",
    "scanout",
    "[vm.scanout]", "[[vm]]", "vm.scanout.x = 1\n", "name = \"wall\"\n", "\u{FEFF}", "é", "a.b.c.d",
  ]

  private static func mutate(_ text: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    var text = text
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let place = Int.random(in: 0...text.count, using: &random)
      let end = min(text.count, place + Int.random(in: 0...12, using: &random))
      switch Int.random(in: 0..<5, using: &random) {
      case 0: text.removeSubrange(place..<end)
      case 1: text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
      case 2: text.insert(contentsOf: Array((scraps.randomElement(using: &random) ?? "").utf8), at: place)
      case 3 where place < text.count: text[place] = UInt8.random(in: 0...255, using: &random)
      default: text.replaceSubrange(place..<end, with: Array((scraps.randomElement(using: &random) ?? "").utf8))
      }
    }
    return text
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func aDamagedFileIsReadOrRefusedAtOneOfItsLines(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    let original = Array(fullConfiguration.utf8)
    for round in 0..<1500 {
      let text = Self.mutate(original, &random)
      let lines = text.count { $0 == UInt8(ascii: "\n") } + 1
      do {
        _ = try Configuration(text: text, file: "t.toml")
      } catch {
        let line = try #require(error.line, "seed \(seed), round \(round)")
        #expect((1...lines).contains(line), "seed \(seed), round \(round): \(error)")
      }
    }
  }

  @Test func theLineOfEachUnknownKeyIsFoundWhereverItIsPutIn() throws {
    let lines = fullConfiguration.split(separator: "\n", omittingEmptySubsequences: false)
    for index in 0...lines.count {
      var changed = lines.map(String.init)
      changed.insert("strange_key = \"\"\"\nnot = 1\n[[vm]]\n\"\"\"", at: index)
      let text = changed.joined(separator: "\n")
      guard let found = error(in: text) else {
        Issue.record("accepted at \(index)")
        continue
      }
      // Inside an array or an inline table a key is no TOML; elsewhere it is an unknown key.
      if case .syntax = found.problem { continue }
      guard case .unknownKey("strange_key", _, _) = found.problem else {
        Issue.record("\(found) at \(index)")
        continue
      }
      #expect(found.line == index + 1)
    }
  }
}
