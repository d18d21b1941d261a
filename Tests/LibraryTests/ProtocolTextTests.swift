import CMuntin
import Foundation
import Platform
import Testing

extension Library {
  /// Documentation/protocol.md against this second implementation of it.
  @Suite struct ProtocolTextTests {
    private func project(_ path: String) throws -> String {
      let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      return try String(contentsOf: tests.deletingLastPathComponent().appendingPathComponent(path), encoding: .utf8)
    }

    @Test func `the example of the protocol is what the library says`() throws {
      let text = try project("Documentation/protocol.md")
      let section = try #require(text.components(separatedBy: "### Example\n").last)
      let block = try #require(section.components(separatedBy: "```").dropFirst().first)
      let messages = block.split(separator: "\n").map { line in
        bytes(line.replacing("136 bytes of zeros", with: String(repeating: "0", count: 272)))
      }
      let id = [UInt8](1...16)
      let (hub, application) = try ScriptedHub.pair("viewer")
      let lease = application.acquire(id: id).lease
      #expect(try hub.expect(.acquire).bytes == messages[0])
      let file = try memoryFile()
      hub.send(.info(.acquired, id, serial: 1), descriptors: [file.raw])
      hub.send(messages[1])
      let events = application.events()
      #expect(events.map(\.kind) == [.acquired, .updated])
      #expect(events[1].damage == [7, 5, 39, 37] && events[1].fields.generation == 5)
      #expect(muntin_lease_done(lease, 5, -1) == 0)
      #expect(try hub.expect(.done).bytes == messages[2])
      muntin_lease_release(lease)
      #expect(try hub.expect(.release).bytes == messages[3])
    }

    private func bytes(_ hexadecimal: some StringProtocol) -> [UInt8] {
      let digits = hexadecimal.filter(\.isHexDigit).compactMap(\.hexDigitValue)
      return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    @Test func `every number of the protocol is in its document as the header has it`() throws {
      let text = try project("Documentation/protocol.md")
      let header = try project("Library/source/wire.h")
      let types = header.matches(of: /([A-Z_]+) = (0x[0-9a-f]{4})/)
      #expect(types.count == 31)
      for type in types {
        let name = type.1 == "ERROR_MESSAGE" ? "ERROR" : type.1
        #expect(text.contains("\(type.2) \(name)"), "\(name)")
      }
    }
  }
}
