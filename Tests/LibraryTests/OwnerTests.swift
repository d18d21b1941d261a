import CMuntin
import Glibc
import Platform
import Testing

extension Library {
  @Suite struct OwnerTests {
    /// An application whose buffer "front" the hub has accepted.
    private func offered(
      isWritable: Bool = false
    ) throws -> (hub: ScriptedHub, application: Application, buffer: OpaquePointer) {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = try #require(application.offer(isWritable: isWritable).buffer)
      let offer = try hub.expect(.offer)
      hub.send(.accepted(serial: offer.serial))
      #expect(application.events().map(\.kind) == [.offered])
      return (hub, application, buffer)
    }

    @Test func `hello says who it is, and welcome is told`() throws {
      let (hub, application) = try ScriptedHub.pair("camera", greets: false)
      let hello = try hub.expect(.hello)
      #expect(hello.payload.count == 192)
      #expect(hello.number(0, UInt32.self) == 1 && hello.number(4, UInt32.self) == 4)
      #expect(hello.text(8, 64) == "camera")
      #expect(hello.payload[72...].allSatisfy { $0 == 0 })
      hub.send(.welcome(instance: 99))
      let event = try #require(application.next())
      #expect(event.kind == .connected && event.fields.number == 99)
    }

    @Test func `an offer has every field of the protocol, and zeroed sealed memory`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer(properties: [("lens", "wide"), ("fps", "30")]).buffer
      let offer = try hub.expect(.offer)
      #expect(offer.payload.count == 160 + 2 * 128)
      #expect(offer.id() == identity(buffer))
      #expect(offer.payload[16..<48] == wordBytes([64, 48, Application.xrgb, 256, 0, 0, 0, 0])[...])
      #expect(offer.payload[48..<64] == wordBytes([1, 2, 2, 0])[...])
      #expect(offer.number(64, UInt64.self) == 12288 && offer.number(72, UInt64.self) == 0)
      #expect(offer.text(80, 64) == "front")
      #expect(offer.number(144, UInt32.self) == 0 && offer.number(148, UInt32.self) == 2)
      #expect(offer.text(160, 32) == "lens" && offer.text(192, 96) == "wide")
      #expect(offer.text(288, 32) == "fps" && offer.text(320, 96) == "30")
      let file = try #require(hub.descriptors.first)
      #expect(SharedMemory.mayBeShared(file.raw))
      #expect(try SharedMemory.size(of: file.raw) == 12288)
      var first = [UInt8](repeating: 1, count: 12288)
      #expect(pread(file.raw, &first, first.count, 0) == 12288 && first.allSatisfy { $0 == 0 })
    }

    @Test func `what is offered read-only cannot be written by any way`() throws {
      let (hub, application, buffer) = try offered()
      let file = try #require(hub.descriptors.first).raw
      application.pixels(buffer).storeBytes(of: 0xAB, as: UInt8.self)
      var byte: UInt8 = 0
      #expect(pread(file, &byte, 1, 0) == 1 && byte == 0xAB)
      #expect(pwrite(file, &byte, 1, 0) == -1 && errno == EBADF)
      #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED)
      // The holder of a read-only descriptor can open the file again if the user is the same: the seal holds then.
      let again = open("/proc/self/fd/\(file)", O_RDWR | O_CLOEXEC)
      if again >= 0 {
        #expect(pwrite(again, &byte, 1, 0) == -1)
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED)
        close(again)
      }
    }

    @Test func `a writable offer hands on a descriptor that can write`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer(isWritable: true).buffer
      #expect(try hub.expect(.offer).number(144, UInt32.self) == 1)
      var byte: UInt8 = 0x77
      #expect(pwrite(try #require(hub.descriptors.first).raw, &byte, 1, 5) == 1)
      #expect(application.pixels(buffer).load(fromByteOffset: 5, as: UInt8.self) == 0x77)
    }

    @Test func `updates wait until the offer is accepted, and are merged`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer().buffer
      let offer = try hub.expect(.offer)
      #expect(application.update(buffer, [0, 0, 4, 4]) == 0)
      #expect(application.update(buffer, [60, 40, 100, 100]) == 0)
      #expect(hub.receive().isEmpty)
      hub.send(.accepted(serial: offer.serial))
      #expect(application.events().map(\.kind) == [.offered])
      let update = try hub.expect(.update)
      #expect(update.payload == identity(buffer) + wordBytes([0, 0, 64, 48, 2, 0]))
      #expect(hub.receive().isEmpty)
      #expect(application.update(buffer, generation: 9) == 0)
      #expect(try hub.expect(.update).number(32, UInt64.self) == 9)
      #expect(application.update(buffer, generation: 9) == MUNTIN_ERROR_INVALID.rawValue)
      #expect(application.lastError.contains("does not rise"))
      #expect(muntin_buffer_generation(buffer) == 9)
    }

    @Test func `a buffer is idle when its newest generation was read by all`() throws {
      let (hub, application, buffer) = try offered()
      #expect(muntin_buffer_is_idle(buffer))
      _ = application.update(buffer)
      _ = application.update(buffer)
      #expect(!muntin_buffer_is_idle(buffer))
      hub.send(.bufferDone(identity(buffer), generation: 1, holder: 3, remaining: 0))
      let stale = try #require(application.next())
      #expect(stale.kind == .done && stale.fields.buffer == buffer && stale.fields.holder == 3)
      #expect(!muntin_buffer_is_idle(buffer), "it says nothing of the generation after")
      hub.send(.bufferDone(identity(buffer), generation: 2, holder: 3, remaining: 1))
      hub.send(.bufferDone(identity(buffer), generation: 2, holder: 4, remaining: 0))
      #expect(application.events().map(\.fields.remaining) == [1, 0])
      #expect(muntin_buffer_is_idle(buffer))
    }

    @Test func `a whole picture is asked for once there is one, unless an update is on its way`() throws {
      let (hub, application, buffer) = try offered()
      hub.send(.wanted(identity(buffer), generation: 0))
      #expect(application.next() == nil, "nothing was drawn yet")
      _ = application.update(buffer)
      hub.send(.wanted(identity(buffer), generation: 0))
      #expect(application.next() == nil, "that reader was told of the update")
      hub.send(.wanted(identity(buffer), generation: 1))
      let event = try #require(application.next())
      #expect(event.kind == .wanted && event.fields.buffer == buffer)
      #expect(application.update(buffer, [0, 0, 0, 0]) == 0 && !muntin_buffer_is_idle(buffer))
      _ = try hub.expect(.update)
      #expect(try hub.expect(.update).payload == identity(buffer) + wordBytes([0, 0, 0, 0, 2, 0]))
    }

    @Test func `fences go both ways, and those that nobody takes are closed`() throws {
      let (hub, application, buffer) = try offered()
      hub.forget()
      let (waiting, ringing) = try UnixSocket.pair(.stream).take()
      let bell = SharedDescriptor(FileDescriptor(adopting: waiting))
      let ringer = SharedDescriptor(FileDescriptor(adopting: ringing))
      #expect(application.update(buffer, fence: bell.raw) == 0)
      #expect(try hub.expect(.update).hasDescriptor)
      let passed = try #require(hub.descriptors.first)
      #expect(!isReadable(passed.raw))
      Doorbell.ring(ringer.raw)
      #expect(isReadable(passed.raw))
      hub.forget()
      for isTaken in [true, false] {
        hub.send(
          .bufferDone(identity(buffer), generation: 1, holder: 1, remaining: 0, hasFence: true),
          descriptors: [bell.raw]
        )
        let event = try #require(application.next())
        #expect(event.fields.has_fence)
        let fence = isTaken ? muntin_take_fence(application.raw) : -1
        #expect(!isTaken || isReadable(fence))
        #expect(!isTaken || close(fence) == 0)
        #expect(application.next() == nil)
      }
      let file = try memoryFile()
      #expect(application.update(buffer, fence: file.raw) == MUNTIN_ERROR_INVALID.rawValue)
      #expect(try #require(OpenFile(bell.raw)).descriptors == 2, "the test's own and what the hub was passed")
    }

    @Test func `withdrawing ends with freed, and the handle stays until it is destroyed`() throws {
      let (hub, application, buffer) = try offered()
      #expect(muntin_buffer_withdraw(buffer) == 0)
      let withdraw = try hub.expect(.withdraw)
      #expect(withdraw.id() == identity(buffer))
      #expect(application.update(buffer) == MUNTIN_ERROR_STATE.rawValue)
      hub.send(.accepted(serial: withdraw.serial))
      #expect(application.next() == nil)
      hub.send(.about(.bufferFreed, identity(buffer)))
      let event = try #require(application.next())
      #expect(event.kind == .freed && event.fields.buffer == buffer)
      muntin_buffer_destroy(buffer)
      #expect(hub.receive().isEmpty)
    }

    @Test func `destroying takes the buffer back whatever state it is in`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let first = application.offer("a").buffer, second = application.offer("b").buffer
      let offers = [try hub.expect(.offer), try hub.expect(.offer)]
      hub.send(.accepted(serial: offers[0].serial))
      #expect(application.events().map(\.kind) == [.offered])
      muntin_buffer_destroy(first)
      muntin_buffer_destroy(second)
      #expect(try hub.expect(.withdraw).id() == offers[0].id())
      #expect(hub.receive().isEmpty, "the hub has not answered the second offer yet")
      hub.send(.accepted(serial: offers[1].serial))
      #expect(application.events().isEmpty)
      #expect(try hub.expect(.withdraw).id() == offers[1].id())
      let files = hub.descriptors.compactMap { OpenFile($0.raw) }
      hub.forget()
      #expect(files.map(\.descriptors) == [0, 0])
    }

    @Test func `a holder that does not let go is told, and the pixels are taken from it`() throws {
      let (hub, application, buffer) = try offered(isWritable: true)
      let file = try #require(hub.descriptors.first).raw
      memset(application.pixels(buffer), 0x5A, 12288)
      hub.send(.about(.bufferRevoked, identity(buffer)))
      let event = try #require(application.next())
      #expect(event.kind == .stillMapped && event.fields.buffer == buffer)
      #expect(muntin_buffer_scrub(buffer) == 1)
      var status = stat()
      #expect(fstat(file, &status) == 0 && status.st_blocks == 0, "the pages cost nothing any more")
      let (hub2, application2, buffer2) = try offered()
      memset(application2.pixels(buffer2), 0x5A, 12288)
      hub2.send(.about(.bufferRevoked, identity(buffer2)))
      #expect(application2.events().map(\.kind) == [.stillMapped])
      muntin_buffer_destroy(buffer2)
      var byte: UInt8 = 1
      #expect(pread(try #require(hub2.descriptors.first).raw, &byte, 1, 100) == 1 && byte == 0)
    }

    @Test func `memory of one's own is checked before the hub sees it`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let sealed = try memoryFile(), writable = try memoryFile(isWritable: true), unsealed = try unsealedFile()
      func offer(
        _ fd: Int32, offset: UInt64 = 0, count: UInt64 = 12288, _ kind: muntin_memory_kind = MUNTIN_MEMORY_FILE
      )
        -> Int32
      {
        application.offer(memory: muntin_memory(kind: kind, fd: fd, offset: offset, byte_count: count)).result
      }
      let invalid = MUNTIN_ERROR_INVALID.rawValue
      #expect(offer(unsealed.raw) == invalid && application.lastError.contains("F_SEAL_SHRINK"))
      #expect(offer(writable.raw) == invalid && application.lastError.contains("other access"))
      #expect(offer(sealed.raw, count: 8192) == invalid && application.lastError.contains("too small"))
      #expect(offer(sealed.raw, count: 16384) == invalid && application.lastError.contains("shorter"))
      #expect(offer(sealed.raw, offset: 4096) == invalid)
      #expect(offer(sealed.raw, offset: .max &- 4095) == invalid)
      #expect(offer(sealed.raw, offset: 100) == invalid && application.lastError.contains("whole pages"))
      #expect(offer(-1) == invalid)
      #expect(offer(sealed.raw, MUNTIN_MEMORY_DMA_BUF) == invalid && application.lastError.contains("writable"))
      #expect(fchmod(sealed.raw, 0o666) == 0)
      #expect(offer(sealed.raw) == invalid && application.lastError.contains("fchmod"))
      #expect(fchmod(sealed.raw, 0o644) == 0)
      #expect(hub.receive().isEmpty)
      #expect(offer(sealed.raw) == 0)
      #expect(try hub.expect(.offer).number(64, UInt64.self) == 12288)
    }

    @Test func `offers that the hub would refuse with the connection's end are not sent`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let invalid = MUNTIN_ERROR_INVALID.rawValue
      for name in ["", "a\nb", String(repeating: "x", count: 64)] { #expect(application.offer(name).result == invalid) }
      #expect(application.offer(width: 0).result == invalid)
      #expect(application.offer(width: 16_385).result == invalid)
      #expect(application.offer(properties: [("a", "1"), ("a", "2")]).result == invalid)
      #expect(application.offer(properties: [("", "1")]).result == invalid)
      #expect(application.offer(properties: (0..<17).map { ("p\($0)", "") }).result == invalid)
      #expect(application.offer(id: [UInt8](repeating: 0, count: 16)).result == invalid)
      #expect(hub.receive().isEmpty)
      #expect(application.offer(nil).result == 0)
      #expect(try hub.expect(.offer).text(80, 64) == "")
    }

    @Test func `a refused offer says why, and nothing of it is sent any more`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer().buffer
      _ = application.update(buffer)
      _ = application.grant(buffer)
      hub.send(.error(11, "there is a buffer of that name already", serial: try hub.expect(.offer).serial))
      let event = try #require(application.next())
      #expect(event.kind == .refused && event.fields.buffer == buffer)
      #expect(event.fields.error == MUNTIN_ERROR_NAME_TAKEN.rawValue)
      #expect(event.text == "there is a buffer of that name already")
      #expect(application.next() == nil && hub.receive().isEmpty)
      #expect(application.update(buffer) == MUNTIN_ERROR_STATE.rawValue)
      muntin_buffer_destroy(buffer)
      #expect(hub.receive().isEmpty)
    }

    @Test func `a grant waits for its buffer, and ends when it is revoked`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let buffer = application.offer().buffer
      let grant = application.grant(buffer).grant
      let offer = try hub.expect(.offer)
      #expect(hub.receive().isEmpty)
      hub.send(.accepted(serial: offer.serial))
      #expect(application.events().map(\.kind) == [.offered])
      let asked = try hub.expect(.grant)
      #expect(asked.payload.count == 232 && asked.id(144) == identity(buffer))
      #expect(asked.payload[0..<72].allSatisfy { $0 == 0 })
      #expect(asked.number(72, UInt32.self) == 2 && asked.text(80, 64) == "viewer")
      #expect(asked.number(224, UInt32.self) == 1)
      hub.send(.accepted(77, serial: asked.serial))
      let event = try #require(application.next())
      #expect(event.kind == .granted && event.fields.grant == grant && event.fields.number == 77)
      muntin_grant_revoke(grant)
      let revoke = try hub.expect(.revoke)
      #expect(revoke.payload == wordBytes([77, 0]))
      hub.send(.accepted(serial: revoke.serial))
      #expect(application.next() == nil)
    }

    private func isReadable(_ raw: Int32) -> Bool {
      var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) == 1
    }
  }
}

/// Little-endian words.
func wordBytes(_ words: [UInt32]) -> [UInt8] {
  words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
}
