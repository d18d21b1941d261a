import Foundation
import FuzzBodies
import Testing

/// What fuzzers found once stays found: every committed input goes through its target again.
@Suite struct CorpusTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Corpus")

  @Test(arguments: fuzzTargets.keys.sorted())
  func `a target survives its corpus`(name: String) throws {
    let body = try #require(fuzzTargets[name])
    let files = try FileManager.default.contentsOfDirectory(
      at: Self.folder.appendingPathComponent(name), includingPropertiesForKeys: nil)
    #expect(!files.isEmpty)
    for file in files { try Data(contentsOf: file).withUnsafeBytes(body) }
  }

  @Test(arguments: fuzzTargets.keys.sorted())
  func `a target survives nothing and noise`(name: String) throws {
    let body = try #require(fuzzTargets[name])
    body(UnsafeRawBufferPointer(start: nil, count: 0))
    let seed = UInt64.random(in: 0 ... .max)
    var state = seed
    for _ in 0..<300 {
      let noise = (0..<Int.random(in: 1...400)).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
      }
      noise.withUnsafeBytes(body)
    }
    print("seed \(seed)")
  }

  @Test func `every folder of the corpus belongs to a target`() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    #expect(Set(names).subtracting(fuzzTargets.keys) == [])
  }
}
