import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Testing

private let (hubUser, cameraUser, thiefUser): (UInt32, UInt32, UInt32) = (60_001, 60_002, 60_003)
private let isRoot = geteuid() == 0

/// Whoever is given memory for reading tries to write it, in a process of its own and as several users.
@Suite(.serialized) struct ReadOnlyTests {
  /// Who the three are; nil: who runs the tests.
  private func machine(hub: UInt32? = nil, camera: UInt32? = nil, thief: UInt32? = nil) throws -> Machine {
    let users = [("camera", camera), ("thief", thief)].map { name, user in
      "[[application]]\nname = \"\(name)\"\n" + (user.map { "user = \($0)\n" } ?? "")
    }
    let grants = ["application:camera", "vm:alpha"].map { "[[grant]]\nfrom = \"\($0)\"\nto = \"application:thief\"\n" }
    return try Machine(hasDisplay: false, more: (users + grants).joined(), hubUser: hub)
  }

  /// What a reader can do to a buffer that `camera` offers by libmuntin.
  private func pryOffer(
    isWritable: Bool, hub: UInt32? = nil, camera: UInt32? = nil, thief: UInt32? = nil
  ) throws -> (can: [String], isChanged: Bool) {
    let machine = try machine(hub: hub, camera: camera, thief: thief)
    let kind = isWritable ? "writable" : "sealed"
    let owner = try machine.part("offer-by-library", machine.hubSocket, "camera", "front", kind, user: camera)
    try machine.eventually("offered") { owner.text.contains("offered") }
    let id = try #require(machine.buffers.first { $0.owner.kind == .application }?.buffer.id)
    let can = try pry(machine, id, thief)
    usleep(100_000)
    return (can, owner.text.contains("changed"))
  }

  private func pry(_ machine: Machine, _ id: BufferID, _ user: UInt32?) throws -> [String] {
    let reader = try machine.part("pry", machine.hubSocket, "thief", "\(id)", user: user)
    try machine.eventually("pried") { reader.text.contains("pried") }
    let lines = reader.text.split(separator: "\n").map(String.init)
    #expect(lines.count { $0.hasPrefix("can") } >= 15, "\(lines)")
    return lines.filter { $0.hasPrefix("can ") }
  }

  /// Opening is no writing.
  private func isHarmless(_ way: String) -> Bool { way.hasPrefix("can open") || way == "can chmod" }

  @Test(.enabled(if: isRoot), arguments: [false, true], [nil, hubUser])
  func `another user can do nothing to what an application offers`(isWritable: Bool, hub: UInt32?) throws {
    let result = try pryOffer(isWritable: isWritable, hub: hub, camera: cameraUser, thief: thiefUser)
    #expect(result.can == [] && !result.isChanged)
  }

  @Test(.enabled(if: isRoot)) func `another user can do nothing to a guest's picture`() throws {
    let machine = try machine(thief: thiefUser)
    let guest = try machine.guest()
    try guest.create(1, Machine.size)
    try guest.transfer(1, Machine.size)
    try guest.show(1, Machine.size)
    #expect(try pry(machine, try machine.shownBuffer(), thiefUser) == [])
  }

  @Test func `the same user can open what libmuntin offers, and do nothing with it`() throws {
    let result = try pryOffer(isWritable: false)
    #expect(result.can.filter { !isHarmless($0) } == [] && !result.isChanged)
  }

  @Test(.enabled(if: isRoot)) func `one user of two programs, and root, can do nothing to what libmuntin offers`()
    throws
  {
    for thief in [cameraUser, 0] {
      let result = try pryOffer(isWritable: false, camera: cameraUser, thief: thief)
      #expect(result.can.filter { !isHarmless($0) } == [] && !result.isChanged, "user \(thief)")
    }
  }

  /// What Documentation/protocol.md says that the kernel gives no way against.
  @Test func `without the seal the same user can write, as the protocol warns`() throws {
    let result = try pryOffer(isWritable: true)
    #expect(result.can.contains("can write O_RDWR again") && result.isChanged)
    #expect(result.can.allSatisfy { !$0.hasSuffix("the descriptor") && !$0.hasPrefix("can shrink") })
    #expect(result.can.allSatisfy { !$0.hasPrefix("can grow") && !$0.hasPrefix("can seal") })
  }
}
