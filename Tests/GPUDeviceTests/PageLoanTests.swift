import Buffers
import GPUDevice
import Platform
import Testing
import Virtqueue

@Suite("Pages of a guest's that others use") struct PageLoanTests {
  let kind = FakeContexts()
  let guest: Guest
  let context: FakeContext
  private static let blob = ResourceID(rawValue: 5)

  /// A guest with a blob of two of its pages, which a context has.
  init() throws {
    guest = try Guest(contextKinds: [kind])
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 5), context: 1).code == .okNoData)
    context = try #require(kind.made.last)
    #expect(try guest.createBlob(5, 8192, guest.pages(2)) == .okNoData)
    #expect(try guest.run(.contextAttachResource(Self.blob), context: 1).code == .okNoData)
  }

  private func lend(_ recalled: @escaping () -> Void = {}) throws -> PageLoan {
    let pages = try #require(context.access.pages(of: Self.blob))
    return try #require(pages.lend(covering: 8192, recalled: recalled))
  }

  @Test("say where they are, and are the guest's again without a word when the loan ends first")
  func returned() throws {
    var loan: PageLoan? = try lend { Issue.record("wanted back") }
    #expect(loan?.pieces.map(\.count) == [4096, 4096] && loan?.byteCount == 8192 && loan?.isInPlace == true)
    loan = nil
    #expect(try guest.unref(5) == .okNoData)
  }

  @Test(
    "are waited for by the command that takes them back, and by no fence",
    arguments: [Command.resourceUnref(blob), .resourceDetachBacking(blob)])
  func waitedFor(_ command: Command) throws {
    var recalls = 0
    var loans = [try lend { recalls += 1 }, try lend { recalls += 1 }]
    let taking = try guest.post(command)
    guest.kick()
    #expect(recalls == 2 && guest.completed().isEmpty && guest.device.heldAnswerCount == 1)
    let fenced = try guest.post(.getDisplayInfo, fence: 7, room: 512)
    guest.kick()
    #expect(guest.completed() == [fenced])
    loans.removeLast()
    #expect(guest.completed().isEmpty)
    loans.removeAll()
    #expect(guest.completed() == [taking])
    #expect(try guest.answer(to: taking)?.type.code == .okNoData)
  }

  @Test("that are let go of at once when they are wanted back cost no wait")
  func atOnce() throws {
    var loan: PageLoan?
    loan = try lend { loan = nil }
    #expect(loan != nil)
    #expect(try guest.unref(5) == .okNoData)
  }

  @Test("are nobody's after a reset: what waited is answered")
  func reset() throws {
    let loan = try lend()
    let taking = try guest.post(.resourceUnref(Self.blob))
    guest.kick()
    guest.device.reset()
    #expect(guest.completed() == [taking])
    withExtendedLifetime(loan) {}
  }

  @Test("are wanted back when the guest's memory is another, and not when it is only told of again")
  func moved() throws {
    var recalls = 0
    let loan = try lend { recalls += 1 }
    guest.device.memoryChanged(guest.arena.memory)
    #expect(recalls == 0 && loan.isInPlace)
    guest.device.memoryChanged(try GuestArena(count: 16 << 20).memory)
    #expect(recalls == 1 && !loan.isInPlace)
  }
}
