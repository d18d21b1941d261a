import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Testing

/// Every way in which a buffer can end, with real processes and kill -9: afterwards no descriptor, no mapping and no
/// charge is left, and after the second time no more than after the first.
@Suite(.serialized) struct EndTests {
  private let size = Machine.size

  /// A guest whose picture 1 is shown.
  @discardableResult
  private func draw(_ guest: SmallGuest) throws -> SmallGuest {
    try guest.create(1, size)
    try guest.transfer(1, size)
    try guest.show(1, size)
    try guest.flush(1, size)
    return guest
  }

  private func drawn(_ machine: Machine) throws -> SmallGuest { try draw(try machine.guest()) }

  /// A display and a program hold the guest's picture.
  private func held(_ machine: Machine) throws -> Process {
    let holder = try machine.holder(try machine.shownBuffer(), releases: true)
    try machine.eventually("two hold it") { machine.buffers.first?.leases == 2 }
    // The card reports its ledger some time after it has changed.
    try machine.eventually("it is charged") { machine.ledgerBytes == Machine.byteCount }
    #expect(machine.kernelBytes == Machine.byteCount)
    return holder
  }

  @Test func `a guest gives a picture up while a display and a program hold it`() throws {
    let machine = try Machine()
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      let holder = try held(machine)
      try guest.unref(1)
      try machine.expectNothing()
      #expect(holder.text.contains("released"))
    }
  }

  @Test func `the charge of a picture stays while somebody holds it, and no longer`() throws {
    let machine = try Machine(hasDisplay: false)
    let guest = try drawn(machine)
    let holder = try machine.holder(try machine.shownBuffer(), releases: false)
    try guest.unref(1)
    usleep(300_000)
    #expect(machine.buffers.map(\.state) == [.retired])
    #expect(machine.ledgerBytes == Machine.byteCount && machine.kernelBytes == Machine.byteCount)
    holder.kill9()
    try machine.expectNothing()
  }

  @Test func `a guest reboots`() throws {
    let machine = try Machine()
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      let holder = try held(machine)
      try guest.reset()
      try machine.expectNothing()
      #expect(holder.text.contains("released"))
    }
    try draw(guest)
    try machine.eventually("the guest draws again") { machine.ledgerBytes == Machine.byteCount }
  }

  @Test func `a VMM is killed in the middle of a frame`() throws {
    let machine = try Machine()
    try machine.twice {
      let flushes = machine.vm?.flushes ?? 0
      let monitor = try machine.part("vm", machine.gpuSocket)
      let id = try machine.shownBuffer()
      let holder = try machine.holder(id, releases: true)
      try machine.eventually("it draws") { (machine.vm?.flushes ?? 0) > flushes + 20 }
      usleep(UInt32.random(in: 0..<20_000))
      monitor.kill9()
      try machine.expectNothing()
      #expect(holder.text.contains("released"))
    }
    let guest = try drawn(machine)
    try machine.eventually("another VMM draws") { machine.ledgerBytes == Machine.byteCount }
    withExtendedLifetime(guest) {}
  }

  @Test func `a graphics card is killed`() throws {
    let machine = try Machine()
    try machine.twice {
      let guest = try drawn(machine)
      let holder = try held(machine)
      machine.gpu.kill9()
      try machine.expectNothing()
      #expect(holder.text.contains("released"))
      withExtendedLifetime(guest) {}
      try machine.startGPU()
      try machine.eventually("its successor is there") { machine.vm?.state == .offline }
    }
  }

  @Test func `a display is killed`() throws {
    let machine = try Machine()
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      try machine.eventually("shown") { machine.buffers.first?.leases == 1 }
      machine.compositor?.kill9()
      try machine.eventually("nobody holds it") { machine.buffers.first?.leases == 0 }
      try guest.flush(1, size)
      try machine.startCompositor()
      try machine.eventually("its successor shows it") { machine.buffers.first?.leases == 1 }
      try guest.unref(1)
      try machine.expectNothing()
    }
  }

  @Test func `a hub is killed and started again`() throws {
    let machine = try Machine()
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      let id = try machine.shownBuffer()
      let holder = try held(machine)
      machine.hub.kill9()
      try guest.flush(1, size)
      try machine.startHub()
      try machine.eventually("everybody is back") { machine.buffers.map(\.buffer.id) == [id] }
      try machine.eventually("the ledger is back") { machine.ledgerBytes == Machine.byteCount }
      try machine.eventually("the display shows it") { machine.buffers.first?.leases == 1 }
      try guest.unref(1)
      try machine.eventually("the new hub knows of no holder") { machine.buffers.isEmpty && machine.ledgerBytes == 0 }
      // The holder of the old hub's days was told nothing: what it still has mapped is empty.
      try machine.eventually("it costs nothing") { Kernel.residentBytes(of: holder.pid, named: "alpha") == 0 }
    }
  }

  @Test func `a consumer never releases`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      let holder = try machine.holder(try machine.shownBuffer(), releases: false)
      #expect(Kernel.residentBytes(of: holder.pid, named: "alpha") == Machine.byteCount)
      try guest.unref(1)
      try machine.eventually("the hub is rid of it") {
        machine.buffers.isEmpty && machine.vm?.ledger.totals.hostAllocated == 0
      }
      try machine.eventually("it was cut off") { holder.text.contains("not released in time") }
      // Its mapping cannot be taken away; the pages behind it can.
      try machine.eventually("it costs nothing") { Kernel.residentBytes(of: holder.pid, named: "alpha") == 0 }
    }
    try draw(guest)
  }

  @Test func `a consumer that is stopped is cut off all the same`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    let guest = try machine.guest()
    try machine.twice {
      try draw(guest)
      let holder = try machine.holder(try machine.shownBuffer(), releases: true)
      kill(holder.pid, SIGSTOP)
      try guest.unref(1)
      try machine.eventually("the hub is rid of it") {
        machine.buffers.isEmpty && machine.vm?.ledger.totals.hostAllocated == 0
      }
      try machine.eventually("it costs nothing") { Kernel.residentBytes(of: holder.pid, named: "alpha") == 0 }
    }
  }

  // MARK: Applications

  /// A buffer that `camera` offers, held by a program that never lets go.
  private func offered(
    _ machine: Machine, _ part: String, _ kind: String = ""
  ) throws -> (owner: Process, id: BufferID, holder: Process, grant: GrantID) {
    let owner = try machine.part(part, machine.hubSocket, "camera", "front", kind)
    try machine.eventually("offered") { owner.text.contains("offered") }
    let id = try #require(machine.buffers.first { $0.owner.kind == .application }?.buffer.id)
    let grant = GrantRequest(
      owner: Party(.application, PeerName("camera")!), to: Party(.application, PeerName("holder")!), object: .id(id))
    let number = try machine.control().grant(grant)
    let holder = try machine.holder(id, releases: false)
    #expect(holder.text.contains("held \(64 * 64 * 4 * 7)"))
    return (owner, id, holder, number)
  }

  private func expectCutOff(_ machine: Machine, _ holder: Process) throws {
    try machine.eventually("told, then cut off") {
      holder.text.contains("must release") && holder.text.contains("not released in time")
    }
  }

  @Test func `a grant is revoked while the buffer is mapped`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    _ = try machine.guest()
    try machine.twice {
      let (owner, _, holder, grant) = try offered(machine, "offer")
      try machine.control().revoke(grant)
      try expectCutOff(machine, holder)
      try machine.eventually("the owner took the pages back") { owner.text.contains("punched") }
      #expect(Kernel.residentBytes(of: holder.pid, named: "camera") == 0)
      #expect(machine.buffers.first?.leases == 0)
    }
  }

  /// Nobody can take pages out of what is sealed against writing: libmuntin leaves zeros there.
  @Test(arguments: ["sealed", "writable"]) func `a grant of an owner that uses libmuntin is revoked`(kind: String)
    throws
  {
    let machine = try Machine(leaseLimit: 0.3)
    _ = try machine.guest()
    try machine.twice {
      let (owner, id, holder, grant) = try offered(machine, "offer-by-library", kind)
      try machine.control().revoke(grant)
      try expectCutOff(machine, holder)
      try machine.eventually("the owner has given it up") { owner.text.contains("destroyed") }
      try machine.eventually("freed") { !machine.buffers.contains { $0.buffer.id == id } }
      kill(holder.pid, SIGUSR1)
      try machine.eventually("it sees nothing any more") { holder.text.contains("sees 0") }
      // Two mappings at most: the holder's, and that of who looks.
      #expect(Kernel.bytes(named: "libmuntin", of: [owner.pid]) == 0, "the owner has let go of it")
      holder.kill9()
      #expect(Kernel.bytes(named: "libmuntin", of: machine.pids) == 0)
    }
  }

  @Test func `an application is killed while its buffer is held`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    _ = try machine.guest()
    try machine.twice {
      let (owner, _, holder, _) = try offered(machine, "offer")
      owner.kill9()
      try expectCutOff(machine, holder)
      try machine.eventually("freed") { machine.buffers.isEmpty }
      holder.kill9()
      #expect(Kernel.bytes(named: "camera", of: machine.pids) == 0)
      #expect(try machine.control().grants().allSatisfy { $0.isConfigured }, "its grants are gone with it")
    }
  }
}
