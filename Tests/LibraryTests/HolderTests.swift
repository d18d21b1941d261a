import CMuntin
import Glibc
import Platform
import Testing

extension Library {
  @Suite struct HolderTests {
    private let id = [UInt8](1...16)

    /// An application that holds camera's buffer "front".
    private func held(
      _ file: SharedDescriptor, access: muntin_access = MUNTIN_READ
    ) throws -> (hub: ScriptedHub, application: Application, lease: OpaquePointer) {
      let (hub, application) = try ScriptedHub.pair()
      let lease = try #require(application.acquire(access: access).lease)
      let serial = try hub.expect(.acquire).serial
      hub.send(.info(.acquired, id, serial: serial, access: access.rawValue), descriptors: [file.raw])
      #expect(application.events().map(\.kind) == [.acquired])
      return (hub, application, lease)
    }

    @Test func `acquiring by name names the owner and what is wanted`() throws {
      let (hub, application) = try ScriptedHub.pair()
      application.acquire(access: MUNTIN_READ_WRITE, flags: MUNTIN_UPDATES | MUNTIN_WAIT_FOR_IT)
      let asked = try hub.expect(.acquire)
      #expect(asked.payload.count == 160 && asked.id().allSatisfy { $0 == 0 })
      #expect(asked.number(16, UInt32.self) == 2 && asked.text(24, 64) == "camera" && asked.text(88, 64) == "front")
      #expect(asked.payload[152...] == wordBytes([2, 3])[...])
    }

    @Test func `acquiring by id names nothing else`() throws {
      let (hub, application) = try ScriptedHub.pair()
      application.acquire(id: id)
      let asked = try hub.expect(.acquire)
      #expect(asked.id() == id && asked.payload[16..<152].allSatisfy { $0 == 0 })
      #expect(application.acquire(id: id, flags: MUNTIN_WAIT_FOR_IT).result == MUNTIN_ERROR_INVALID.rawValue)
    }

    @Test func `what was acquired is described and mapped read-only`() throws {
      let file = try memoryFile([9, 8, 7])
      let (_, application, lease) = try held(file)
      let info = try #require(muntin_lease_info(lease)?.pointee)
      #expect(info.layout.width == 64 && info.layout.height == 48 && info.layout.stride == 256)
      #expect(text(info.owner.name) == "camera" && text(info.name) == "front")
      #expect(withUnsafePointer(to: info) { String(cString: muntin_info_property($0, "lens")) } == "wide")
      #expect(withUnsafePointer(to: info) { muntin_info_property($0, "other") } == nil)
      let pixels = try #require(application.map(lease))
      #expect(pixels.load(fromByteOffset: 2, as: UInt8.self) == 7)
      #expect(mprotect(pixels, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES)
      let raw = muntin_lease_fd(lease)
      #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, raw, 0) == MAP_FAILED && errno == EACCES)
      #expect(application.map(lease) == pixels)
    }

    @Test func `write access maps writable`() throws {
      let file = try memoryFile(isWritable: true)
      let (_, application, lease) = try held(file, access: MUNTIN_READ_WRITE)
      try #require(application.map(lease)).storeBytes(of: 0x66, toByteOffset: 3, as: UInt8.self)
      var byte: UInt8 = 0
      #expect(pread(file.raw, &byte, 1, 3) == 1 && byte == 0x66)
    }

    @Test func `updates come with damage, generation and fence, and are answered`() throws {
      let (hub, application, lease) = try held(try memoryFile())
      let bell = try Doorbell()
      hub.send(.updated(id, [1, 2, 3, 4], generation: 5, hasFence: true), descriptors: [bell.waiting.raw])
      let event = try #require(application.next())
      #expect(event.kind == .updated && event.fields.lease == lease)
      #expect(event.damage == [1, 2, 3, 4] && event.fields.generation == 5 && event.fields.has_fence)
      #expect(muntin_lease_done(lease, 5, bell.waiting.raw) == 0)
      let done = try hub.expect(.done)
      #expect(done.payload == id + wordBytes([5, 0]) && done.hasDescriptor)
      #expect(application.next() == nil)
      #expect(application.statistics.descriptors_closed == 1)
    }

    @Test func `releasing unmaps, closes, and tells the hub`() throws {
      let file = try memoryFile()
      let open = try #require(OpenFile(file.raw))
      do {
        let (hub, application, lease) = try held(file)
        #expect(application.map(lease) != nil && open.descriptors == 2)
        muntin_lease_release(lease)
        #expect(open.descriptors == 1)
        #expect(try hub.expect(.release).id() == id)
        hub.send(.updated(id, [0, 0, 1, 1], generation: 6))
        #expect(application.next() == nil)
        #expect(application.acquire().result == 0)
      }
    }

    @Test func `a lease that is released before it came is released when it comes`() throws {
      let file = try memoryFile()
      do {
        let (hub, application) = try ScriptedHub.pair()
        muntin_lease_release(application.acquire().lease)
        let serial = try hub.expect(.acquire).serial
        #expect(hub.receive().isEmpty)
        hub.send(.info(.acquired, id, serial: serial), descriptors: [file.raw])
        #expect(application.next() == nil)
        #expect(try hub.expect(.release).id() == id)
      }
      #expect(OpenFile(file.raw)?.descriptors == 1)
    }

    @Test func `a lease that is waited for can be given up, whichever answer is on its way`() throws {
      let file = try memoryFile()
      for isAcquired in [false, true] {
        let (hub, application) = try ScriptedHub.pair()
        let lease = application.acquire(flags: MUNTIN_UPDATES | MUNTIN_WAIT_FOR_IT).lease
        let serial = try hub.expect(.acquire).serial
        muntin_lease_release(lease)
        #expect(application.next() == nil)
        #expect(try hub.expect(.cancel).payload == wordBytes([UInt32(serial), 0]))
        if isAcquired {
          hub.send(.info(.acquired, id, serial: serial), descriptors: [file.raw])
          #expect(application.next() == nil)
          #expect(try hub.expect(.release).id() == id)
        } else {
          hub.send(.error(8, "no such buffer", serial: serial))
          #expect(application.next() == nil && hub.receive().isEmpty)
        }
      }
      #expect(OpenFile(file.raw)?.descriptors == 1)
    }

    @Test func `a buffer that is asked for again before the first answer came is held in the end`() throws {
      let (hub, application) = try ScriptedHub.pair()
      muntin_lease_release(application.acquire().lease)
      let again = application.acquire(flags: 0).lease
      let serials = [try hub.expect(.acquire).serial, try hub.expect(.acquire).serial]
      let file = try memoryFile()
      for serial in serials { hub.send(.info(.acquired, id, serial: serial), descriptors: [file.raw]) }
      let events = application.events()
      #expect(events.map(\.kind) == [.acquired] && events.map(\.fields.lease) == [again])
      #expect(hub.receive().map(\.kind) == [.release, .acquire], "the release ended what both had asked for")
      #expect(hub.received.last?.id() == id)
      hub.send(.updated(id, [0, 0, 1, 1], generation: 1))
      #expect(application.next()?.fields.lease == again)
    }

    @Test(arguments: [(MessageBytes.Kind.revoked, Application.Kind.revoked), (.retired, .retired)])
    func `the end of a right is told, and what is mapped stays readable`(
      message: MessageBytes.Kind, kind: Application.Kind
    ) throws {
      let (hub, application, lease) = try held(try memoryFile([3]))
      let pixels = try #require(application.map(lease))
      hub.send(.ended(message, id, milliseconds: 1234))
      let event = try #require(application.next())
      #expect(event.kind == kind && event.fields.lease == lease && event.fields.milliseconds == 1234)
      #expect(pixels.load(as: UInt8.self) == 3)
      muntin_lease_release(lease)
      #expect(try hub.expect(.release).id() == id)
    }

    @Test func `a refusal leaves the connection as it is`() throws {
      let (hub, application) = try ScriptedHub.pair()
      let lease = application.acquire().lease
      hub.send(.error(8, "no such buffer", serial: try hub.expect(.acquire).serial))
      let event = try #require(application.next())
      #expect(event.kind == .refused && event.fields.error == MUNTIN_ERROR_NOT_FOUND.rawValue)
      #expect(event.fields.lease == lease && event.text == "no such buffer")
      #expect(application.map(lease) == nil && muntin_lease_fd(lease) == -1)
      #expect(muntin_lease_done(lease, 1, -1) == MUNTIN_ERROR_STATE.rawValue)
      muntin_lease_release(lease)
      #expect(hub.receive().isEmpty && application.end == 0)
    }

    @Test func `a second handle for a buffer that is held is refused, and the first goes on as it was`() throws {
      let (hub, application, lease) = try held(try memoryFile())
      #expect(application.acquire().result == MUNTIN_ERROR_STATE.rawValue)
      #expect(application.acquire(id: id).result == MUNTIN_ERROR_STATE.rawValue)
      muntin_lease_release(lease)
      let byName = application.acquire().lease, byID = application.acquire(id: id, flags: 0).lease
      let serials = [try hub.expect(.acquire).serial, try hub.expect(.acquire).serial]
      let file = try memoryFile()
      for serial in serials {
        hub.send(.info(.acquired, id, serial: serial), descriptors: [file.raw])
      }
      let events = application.events()
      #expect(events.map(\.kind) == [.acquired, .refused])
      #expect(events.map(\.fields.lease) == [byName, byID])
      let renewed = try hub.expect(.acquire)
      #expect(renewed.id() == id && renewed.payload[152...] == wordBytes([1, 1])[...])
      muntin_lease_release(byID)
      #expect(application.map(byName) != nil)
    }

    @Test func `lookup, list and grants are asked for in one page after the other`() throws {
      let (hub, application) = try ScriptedHub.pair()
      var serial: UInt64 = 0
      #expect(application.select { muntin_lookup(application.raw, $0, &serial) } == 0)
      #expect(try hub.expect(.lookup).text(88, 64) == "front")
      hub.send(.info(.info, id, serial: serial))
      var event = try #require(application.next())
      #expect(event.kind == .info && event.fields.serial == serial && event.info?.generation == 0)

      "lens".withCString { lens in
        var filter = muntin_filter()
        filter.format = Application.xrgb
        filter.property = lens
        filter.value = lens
        #expect(muntin_list(application.raw, &filter, 3, &serial) == 0)
      }
      let query = try hub.expect(.query)
      #expect(query.payload.count == 320 && query.payload[0..<16] == wordBytes([3, 0, 1, Application.xrgb])[...])
      #expect(query.text(152, 32) == "lens" && query.text(184, 96) == "lens")
      hub.send(.info(.info, id, serial: serial), .queryEnd(1, next: 5, serial: serial))
      #expect(application.next()?.kind == .info)
      event = try #require(application.next())
      #expect(event.kind == .listEnd && event.fields.count == 1 && event.fields.number == 5)

      #expect(muntin_list_grants(application.raw, 0, &serial) == 0)
      #expect(try hub.expect(.grants).payload.count == 8)
      var record = MessageBytes(.grantRecord, serial: serial)
      record.append(UInt64(12))
      for word in [2, 1] as [UInt32] { record.append(word) }
      record.append(party: 1, "vm1")
      record.append(party: 2, "viewer")
      record.append([UInt8](repeating: 0, count: 16))
      record.append("front", 64)
      record.append(UInt64(0))
      hub.send(record)
      let grant = try #require(application.next()?.grant)
      #expect(grant.number == 12 && grant.access == 2 && grant.is_permanent && !grant.has_id)
      #expect(text(grant.owner.name) == "vm1" && text(grant.grantee.name) == "viewer" && text(grant.name) == "front")
    }

    @Test func `constraints are said and asked for`() throws {
      let (hub, application) = try ScriptedHub.pair()
      var own = muntin_constraints()
      own.stride_alignment = 256
      own.maximum_width = 4096
      own.contiguous = true
      own.memory_kinds = 1
      own.format_count = 1
      own.formats.0 = Application.xrgb
      #expect(muntin_set_constraints(application.raw, &own) == 0)
      let said = try hub.expect(.constraints)
      #expect(said.payload.count == 304)
      #expect(said.payload[0..<52] == wordBytes([256, 0, 0, 0, 4096, 0, 0, 3, 0, 1, 1, 0, Application.xrgb])[...])
      hub.send(.accepted(serial: said.serial))
      #expect(application.events().map(\.kind) == [.accepted])

      var party = muntin_party()
      party.kind = 3
      withUnsafeMutableBytes(of: &party.name) { $0.copyBytes(from: "main".utf8) }
      var serial: UInt64 = 0
      #expect(muntin_require(application.raw, &party, 1, &serial) == 0)
      let asked = try hub.expect(.requirements)
      #expect(asked.number(0, UInt32.self) == 1 && asked.number(8, UInt32.self) == 3 && asked.text(16, 64) == "main")
      var merged = MessageBytes(.merged, serial: serial)
      merged.append(said.payload)
      hub.send(merged)
      let event = try #require(application.next())
      #expect(event.kind == .requirements && event.constraints?.stride_alignment == 256)
      #expect(event.constraints?.contiguous == true && event.constraints?.formats.0 == Application.xrgb)

      #expect(muntin_require(application.raw, &party, 1, &serial) == 0)
      hub.send(.error(10, "formats: display main and application tester disagree", serial: serial))
      let refusal = try #require(application.next())
      #expect(refusal.fields.error == MUNTIN_ERROR_DISAGREEMENT.rawValue && refusal.text.contains("display main"))
    }

    @Test func `ids are read as they are written`() {
      var characters = [CChar](repeating: 0, count: 37), back = [UInt8](repeating: 0, count: 16)
      muntin_id_to_text(id, &characters)
      #expect(
        String(decoding: characters.prefix(36).map(UInt8.init(bitPattern:)), as: UTF8.self)
          == "01020304-0506-0708-090a-0b0c0d0e0f10")
      #expect(muntin_id_from_text(characters, &back) == 0 && back == id)
      for wrong in ["", "x", "01020304-0506-0708-090a-0b0c0d0e0f1", "01020304-0506-0708-090a00b0c0d0e0f10"] {
        #expect(muntin_id_from_text(wrong, &back) == MUNTIN_ERROR_INVALID.rawValue)
      }
    }
  }
}
