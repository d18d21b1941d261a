import Foundation
import Testing

@testable import HubProtocol

/// Documentation/protocol.md says of each message what the code does.
@Suite struct DocumentTests {
  /// What the document says of one message.
  private struct Entry {
    var totals: [Int]
    /// Bytes of what may be there several times.
    var part: Int?
    var descriptor: MessageType.DescriptorRule
  }

  private static let text: String = {
    let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let path = project.appendingPathComponent("Documentation/protocol.md")
    return (try? String(contentsOf: path, encoding: .utf8)) ?? ""
  }()

  /// The first lines of a message's description, from its number to the end of the paragraph.
  private static func paragraph(_ type: MessageType) -> Substring? {
    let digits = String(type.rawValue, radix: 16)
    let number = "0x" + String(repeating: "0", count: 4 - digits.count) + digits
    guard let start = text.ranges(of: try! Regex("(\\*\\*|### )\(number) [A-Z_]+")).first else { return nil }
    let rest = text[start.lowerBound...]
    let end = rest.range(of: "\n\n")?.lowerBound ?? rest.endIndex
    let table = rest.range(of: "\n|")?.lowerBound ?? rest.endIndex
    return rest[..<min(end, table)]
  }

  private static func entry(_ type: MessageType) throws -> Entry {
    let paragraph = try #require(Self.paragraph(type), "\(type) is not described")
    if paragraph.contains("total as BUFFER_INFO") { return Entry(totals: [264], part: 128, descriptor: .one) }
    let match = try #require(
      paragraph.firstMatch(of: /total (\d[\d,]*\d)(?: \+ (\d+) n)?(?:, or (\d[\d,]*\d) with)?/), "\(type): no total")
    let number = { (text: Substring) in Int(text.filter { $0 != "," }) }
    let totals = [match.1, match.3].compactMap { $0 }.compactMap(number)
    let isOptional = paragraph.contains("with a descriptor if") || paragraph.contains("with one descriptor when")
    let isThere = paragraph.firstMatch(of: /with\sone\sdescriptor/) != nil
    return Entry(
      totals: totals, part: match.2.flatMap(number), descriptor: isOptional ? .optional : isThere ? .one : .none)
  }

  @Test(arguments: MessageType.allCases)
  func `every message is described, with its descriptor`(type: MessageType) throws {
    #expect(try Self.entry(type).descriptor == type.descriptorRule)
  }

  @Test func `every message has the length that is described`() throws {
    for sample in MessageSamples.all {
      let entry = try Self.entry(sample.message.type)
      let isDescribed = entry.totals.contains { total in
        let rest = sample.message.byteCount - total
        return rest == 0 || entry.part.map { rest > 0 && rest % $0 == 0 } ?? false
      }
      #expect(isDescribed, "\(sample.message.type) is \(sample.message.byteCount) long, not \(entry.totals)")
    }
  }

  @Test func `every error code is described`() {
    for code in ErrorCode.allCases { #expect(Self.text.contains("\n| \(code.rawValue) | \(code) | ")) }
  }
}
