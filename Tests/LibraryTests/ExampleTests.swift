import CMuntin
import CPNG
import Foundation
import Glibc
import Platform
import Testing

extension Library {
  /// The examples, built against the installed library, with the real hub.
  @Suite struct ExampleTests {
    // MARK: The pattern of Examples/producer.c once more

    private struct Square: Equatable {
      let x: Int, y: Int, width: Int, height: Int

      init(_ generation: Int, _ pictureWidth: Int, _ pictureHeight: Int) {
        (width, height) = (min(32, pictureWidth), min(32, pictureHeight))
        (x, y) = (generation * 7 % (pictureWidth - width + 1), generation * 5 % (pictureHeight - height + 1))
      }

      func contains(_ x: Int, _ y: Int) -> Bool {
        (self.x..<self.x + width).contains(x) && (self.y..<self.y + height).contains(y)
      }

    }

    /// A rectangle of a line, such as "7,5 39x37".
    private func area(_ place: String, _ extent: String) throws -> (columns: Range<Int>, rows: Range<Int>) {
      let numbers = (place.split(separator: ",") + extent.split(separator: "x")).compactMap { Int($0) }
      try #require(numbers.count == 4, "\(place) \(extent)")
      return (numbers[0]..<numbers[0] + numbers[2], numbers[1]..<numbers[1] + numbers[3])
    }

    private func isInside(_ inner: Range<Int>, _ outer: Range<Int>) -> Bool { inner.clamped(to: outer) == inner }

    /// The smallest one around squares.
    private func around(_ squares: [Square]) throws -> (columns: Range<Int>, rows: Range<Int>) {
      let left = try #require(squares.map(\.x).min()), right = try #require(squares.map { $0.x + $0.width }.max())
      let top = try #require(squares.map(\.y).min()), bottom = try #require(squares.map { $0.y + $0.height }.max())
      return (left..<right, top..<bottom)
    }

    private func picture(_ generation: Int, _ width: Int, _ height: Int) -> [UInt8] {
      let square = Square(generation, width, height)
      var rgb: [UInt8] = []
      for y in 0..<height {
        for x in 0..<width {
          let background = [UInt8(x & 255), UInt8(y & 255), UInt8((x ^ y) & 255)]
          rgb += square.contains(x, y) ? [255, 255, UInt8(generation & 255)] : background
        }
      }
      return rgb
    }

    private func read(_ path: String) throws -> (width: Int, height: Int, rgb: [UInt8]) {
      var image = png_image()
      image.version = png_uint_32(PNG_IMAGE_VERSION)
      try #require(png_image_begin_read_from_file(&image, path) != 0, "\(path)")
      image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
      var rgb = [UInt8](repeating: 0, count: Int(image.width) * Int(image.height) * 3)
      #expect(png_image_finish_read(&image, nil, &rgb, 0, nil) != 0)
      return (Int(image.width), Int(image.height), rgb)
    }

    // MARK: Pixels

    @Test(arguments: [
      ("XRGB8888", 64, 48), ("ARGB8888", 33, 17), ("XBGR8888", 1, 1), ("ABGR8888", 300, 40), ("BGRX8888", 40, 300),
      ("BGRA8888", 65, 33), ("RGBX8888", 64, 48), ("RGBA8888", 31, 31),
    ])
    func `frames arrive with exactly their pixels, damage and generation`(
      format: String, width: Int, height: Int
    ) throws {
      let place = try HubPlace()
      let consumer = try place.consumer("--count", "6")
      let producer = try place.producer(
        "--size", "\(width)x\(height)", "--format", format, "--grant", "application:recorder", "--rate", "100")
      #expect(try consumer.end() == 0, "\(consumer.output)")
      producer.kill(SIGTERM)
      #expect(try producer.end() == 0, "\(producer.output)")
      let frames = consumer.lines.filter { $0.hasPrefix("frame ") }.map { $0.split(separator: " ").map(String.init) }
      #expect(frames.count == 6, "\(consumer.output)")
      #expect(frames.first?[3...4] == ["0,0", "\(width)x\(height)"], "the first is a whole picture")
      for frame in frames {
        let generation = try #require(Int(frame[1]))
        let file = try read(place.folder.path + "/" + frame[6])
        #expect(file.width == width && file.height == height)
        #expect(file.rgb == picture(generation, width, height), "generation \(generation)")
      }
      for (before, frame) in zip(frames, frames.dropFirst()) {
        let (old, new) = (try #require(Int(before[1])), try #require(Int(frame[1])))
        try #require(new > old, "generations rise")
        let damage = try area(frame[3], frame[4])
        let both = try around([Square(old, width, height), Square(new, width, height)])
        let all = try around((old...new).map { Square($0, width, height) })
        #expect(isInside(both.columns, damage.columns) && isInside(both.rows, damage.rows), "\(frame)")
        #expect(isInside(damage.columns, all.columns) && isInside(damage.rows, all.rows), "\(frame)")
      }
    }

    @Test func `properties, size and format are seen in the list`() throws {
      let place = try HubPlace()
      let producer = try place.producer(
        "--size", "320x200", "--property", "lens=wide", "--property", "fps=30", "--grant", "application:recorder")
      try producer.wait(for: "granted")
      let list = try place.consumer("--list", "yes")
      #expect(try list.end() == 0)
      #expect(list.output.contains(" 320x200 XR24 of camera named front lens=wide fps=30\n"), "\(list.output)")
      let other = try place.consumer("--name", "stranger", "--list", "yes")
      #expect(try other.end() == 0)
      #expect(other.lines == ["connected"], "what one may not use is not listed")
    }

    @Test func `a consumer built from POSIX alone sees the same`() throws {
      let place = try HubPlace(Installed.posix)
      let producer = try Running(
        Installed.usual.get().producer,
        ["--hub", place.path, "--name", "camera", "--buffer", "front", "--grant", "application:recorder"],
        in: place.folder.path, environment: Installed.usual.get().environment)
      let consumer = try place.consumer("--count", "2")
      #expect(try consumer.end() == 0, "\(consumer.output) \(producer.output)")
      let last = try #require(consumer.lines.last).split(separator: " ").map(String.init)
      let file = try read(place.folder.path + "/" + last[6])
      #expect(file.rgb == picture(try #require(Int(last[1])), 640, 480))
    }

    // MARK: Rights

    @Test func `what is granted for reading cannot be written by any way`() throws {
      let place = try HubPlace()
      let producer = try place.producer("--grant", "application:viewer")
      let viewer = try place.application("viewer")
      let lease = viewer.acquire(flags: MUNTIN_UPDATES | MUNTIN_WAIT_FOR_IT).lease
      _ = try viewer.wait(.acquired)
      let pixels = try #require(viewer.map(lease)), raw = muntin_lease_fd(lease)
      #expect(mprotect(pixels, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES)
      #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, raw, 0) == MAP_FAILED && errno == EACCES)
      #expect(ftruncate(raw, 0) == -1)
      let again = open("/proc/self/fd/\(raw)", O_RDWR | O_CLOEXEC)
      #expect(again < 0 || mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED)
      if again >= 0 { close(again) }
      #expect(viewer.acquire(access: MUNTIN_READ_WRITE).result == MUNTIN_ERROR_STATE.rawValue)
      muntin_lease_release(lease)
      viewer.acquire(access: MUNTIN_READ_WRITE)
      let refusal = try viewer.wait(.refused)
      #expect(refusal.fields.error == MUNTIN_ERROR_NOT_FOUND.rawValue && refusal.text == "no such buffer")
      _ = producer
    }

    @Test func `a guessed id, a stale one and one without a right give the same answer`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera"), stranger = try place.application("stranger")
      let buffer = owner.offer().buffer, gone = owner.offer("gone").buffer
      _ = try owner.wait(.offered)
      _ = try owner.wait(.offered)
      let stale = identity(gone)
      #expect(muntin_buffer_withdraw(gone) == 0)
      _ = try owner.wait(.freed)
      let taken = owner.offer("taken").buffer
      let grant = owner.grant(taken, to: "stranger").grant
      _ = try owner.wait(.granted)
      let lease = stranger.acquire(id: identity(taken)).lease
      _ = try stranger.wait(.acquired)
      muntin_grant_revoke(grant)
      #expect(owner.events().allSatisfy { $0.kind == .wanted })
      _ = try stranger.wait(.revoked)
      muntin_lease_release(lease)
      var answers: Set<String> = []
      for id in [identity(buffer), stale, identity(taken), [UInt8](1...16)] {
        stranger.acquire(id: id)
        let refusal = try stranger.wait(.refused)
        answers.insert("\(refusal.fields.error) \(refusal.text)")
      }
      stranger.acquire(name: "front", flags: MUNTIN_UPDATES)
      answers.insert("\(MUNTIN_ERROR_NOT_FOUND.rawValue) \(try stranger.wait(.refused).text)")
      #expect(answers == ["-8 no such buffer"])
    }

    @Test func `a revoked grant is told to the consumer, which ends`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      let buffer = owner.offer().buffer
      let grant = owner.grant(buffer, to: "recorder").grant
      _ = owner.update(buffer)
      _ = try owner.wait(.granted)
      let consumer = try place.consumer()
      #expect(try owner.wait(.wanted).fields.buffer == buffer)
      _ = owner.update(buffer, [0, 0, 0, 0])
      try consumer.wait(for: "frame 2 damage 0,0 64x48")
      muntin_grant_revoke(grant)
      #expect(owner.events().allSatisfy { $0.kind == .done })
      #expect(try consumer.end() == 0)
      #expect(consumer.lines.last == "revoked")
    }

    @Test func `grants made on the command line hold, and are listed to the owner`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      let buffer = owner.offer().buffer
      _ = try owner.wait(.offered)
      let number = try place.muntin("grant", "application:camera", "application:viewer", "--name", "front")
      #expect(muntin_list_grants(owner.raw, 0, nil) == 0)
      let record = try #require(try owner.wait(.grantRecord).grant)
      #expect("\(record.number)" == number.trimmingCharacters(in: .whitespacesAndNewlines))
      #expect(text(record.owner.name) == "camera" && text(record.grantee.name) == "viewer")
      #expect(text(record.name) == "front" && record.access == 1 && !record.is_permanent)
      let viewer = try place.application("viewer")
      let lease = viewer.acquire().lease
      #expect(try viewer.wait(.acquired).fields.lease == lease)
      _ = try place.muntin("revoke", "\(record.number)")
      let revoked = try viewer.wait(.revoked)
      #expect(revoked.fields.lease == lease && (1...10_000).contains(revoked.fields.milliseconds))
      muntin_lease_release(lease)
      #expect(viewer.end == 0)
      _ = buffer
    }

    // MARK: Fences and constraints

    @Test func `fences go through the hub in both directions`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera"), viewer = try place.application("viewer")
      let buffer = owner.offer().buffer
      _ = owner.grant(buffer, to: "viewer")
      _ = try owner.wait(.granted)
      let lease = viewer.acquire().lease
      _ = try viewer.wait(.acquired)
      let drawn = try Doorbell(), read = try Doorbell()
      #expect(owner.update(buffer, [8, 8, 16, 16], fence: drawn.waiting.raw) == 0)
      let update = try viewer.wait(.updated)
      #expect(update.damage == [0, 0, 64, 48] && update.fields.generation == 1)
      let acquire = muntin_take_fence(viewer.raw)
      #expect(!isReadable(acquire))
      drawn.ring()
      #expect(isReadable(acquire))
      #expect(muntin_lease_done(lease, 1, read.waiting.raw) == 0)
      let done = try owner.wait(.done)
      #expect(done.fields.generation == 1 && done.fields.remaining == 0 && done.fields.holder > 0)
      let release = muntin_take_fence(owner.raw)
      #expect(!isReadable(release))
      read.ring()
      #expect(isReadable(release))
      close(acquire)
      close(release)
    }

    private func isReadable(_ raw: Int32) -> Bool {
      var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) == 1
    }

    @Test func `constraints of two programs are merged, and those that cannot be are named`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera"), viewer = try place.application("viewer")
      _ = owner.grant(to: "viewer")
      _ = try owner.wait(.granted)
      var constraints = muntin_constraints()
      constraints.stride_alignment = 256
      constraints.maximum_width = 4096
      constraints.format_count = 1
      constraints.formats.0 = Application.xrgb
      #expect(muntin_set_constraints(owner.raw, &constraints) == 0)
      constraints.stride_alignment = 192
      constraints.maximum_width = 1920
      #expect(muntin_set_constraints(viewer.raw, &constraints) == 0)
      _ = try owner.wait(.accepted)
      _ = try viewer.wait(.accepted)
      var parties = [party("camera"), party("viewer")]
      #expect(muntin_require(owner.raw, &parties, 2, nil) == 0)
      let merged = try #require(try owner.wait(.requirements).constraints)
      #expect(merged.stride_alignment == 768 && merged.maximum_width == 1920)
      #expect(merged.format_count == 1 && merged.formats.0 == Application.xrgb)
      constraints.formats.0 = 0x3432_4152
      #expect(muntin_set_constraints(viewer.raw, &constraints) == 0)
      _ = try viewer.wait(.accepted)
      #expect(muntin_require(owner.raw, &parties, 2, nil) == 0)
      let refusal = try owner.wait(.refused)
      #expect(refusal.fields.error == MUNTIN_ERROR_DISAGREEMENT.rawValue)
      #expect(refusal.text.contains("camera") && refusal.text.contains("viewer"), "\(refusal.text)")
      #expect(owner.end == 0)
    }

    private func party(_ name: String) -> muntin_party {
      var party = muntin_party()
      party.kind = UInt32(MUNTIN_APPLICATION.rawValue)
      withUnsafeMutableBytes(of: &party.name) { $0.copyBytes(from: name.utf8) }
      return party
    }

    // MARK: Ends

    @Test func `a producer that is killed leaves its consumer with retired, which ends it`() throws {
      let place = try HubPlace()
      let producer = try place.producer("--grant", "application:recorder")
      let consumer = try place.consumer()
      try consumer.wait(for: "frame 3")
      producer.kill(SIGKILL)
      #expect(try consumer.end() == 0)
      #expect(consumer.lines.last == "retired")
    }

    @Test func `a consumer that is killed leaves no lease and no hold on its producer`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera")
      let buffer = owner.offer().buffer
      _ = owner.grant(buffer, to: "recorder")
      _ = try owner.wait(.granted)
      let consumer = try place.consumer()
      try consumer.wait(for: "acquired")
      #expect(try leases(owner) == 1)
      consumer.kill(SIGSTOP)
      _ = owner.update(buffer)
      #expect(owner.events().allSatisfy { $0.kind == .wanted || $0.fields.remaining > 0 })
      #expect(!muntin_buffer_is_idle(buffer))
      consumer.kill(SIGKILL)
      #expect(try owner.wait(.done).fields.remaining == 0)
      #expect(muntin_buffer_is_idle(buffer))
      #expect(try leases(owner) == 0)
      var characters = [CChar](repeating: 0, count: 37)
      muntin_id_to_text(muntin_buffer_id(buffer), &characters)
      let id = String(decoding: characters.prefix(36).map(UInt8.init(bitPattern:)), as: UTF8.self)
      #expect(try place.muntin("list", "buffers", "--json").contains(id))
      #expect(muntin_buffer_withdraw(buffer) == 0)
      #expect(try owner.wait(.freed).fields.buffer == buffer)
      #expect(try !place.muntin("list", "buffers", "--json").contains(id))
    }

    private func leases(_ application: Application) throws -> UInt32 {
      #expect(application.select { muntin_lookup(application.raw, $0, nil) } == 0)
      return try #require(try application.wait(.info).info).leases
    }

    @Test func `both go on when the hub is killed and comes back`() throws {
      let place = try HubPlace()
      let producer = try place.producer("--grant", "application:recorder")
      let consumer = try place.consumer()
      try consumer.wait(for: "frame 3")
      place.kill()
      try consumer.wait(for: "disconnected")
      try producer.wait(for: "disconnected")
      try place.start()
      try producer.wait(for: "granted", count: 2)
      try consumer.wait(for: "acquired", count: 2)
      let seen = consumer.lines.count { $0.hasPrefix("frame") }
      try consumer.wait(for: "\nframe", count: seen + 3)
      consumer.kill(SIGTERM)
      producer.kill(SIGTERM)
      #expect(try consumer.end() == 0 && producer.end() == 0)
    }

    @Test func `sanitizers find nothing, through a hub's restart and the producer's death`() throws {
      let place = try HubPlace(Installed.sanitized)
      let producer = try place.producer("--grant", "application:recorder", "--property", "a=b", "--rate", "100")
      let consumer = try place.consumer()
      try consumer.wait(for: "frame 3")
      place.kill()
      try consumer.wait(for: "disconnected")
      try place.start()
      try consumer.wait(for: "acquired", count: 2)
      try consumer.wait(for: "frame", count: 6)
      producer.kill(SIGTERM)
      #expect(try producer.end() == 0 && consumer.end() == 0, "\(producer.output) \(consumer.output)")
      #expect(consumer.lines.last == "retired")
    }

    @Test func `hundreds of buffers are offered, granted, acquired, and come back after a hub's restart`() throws {
      let place = try HubPlace()
      let owner = try place.application("camera"), viewer = try place.application("viewer")
      _ = owner.grant(to: "viewer")
      _ = try owner.wait(.granted)
      for number in 0..<400 { #expect(owner.offer("b\(number)", width: 8, height: 8).result == 0) }
      for _ in 0..<400 { _ = try owner.wait(.offered) }
      for number in 0..<400 { #expect(viewer.acquire(name: "b\(number)").result == 0) }
      for _ in 0..<400 { _ = try viewer.wait(.acquired) }
      place.kill()
      _ = try owner.wait(.disconnected)
      _ = try viewer.wait(.disconnected)
      try place.start()
      for _ in 0..<400 { _ = try owner.wait(.offered) }
      for _ in 0..<400 { _ = try viewer.wait(.acquired) }
    }

    // MARK: Packaging

    @Test func `the header is C11 and C++ as it stands, and pkg-config knows the library`() throws {
      let installed = try Installed.usual.get()
      #expect(try installed.run("pkg-config --modversion muntin") == "0.1\n")
      try installed.run(
        """
        printf '#include <muntin.h>\\nint main() { return muntin_error_text(0) == 0; }\\n' >header.c
        cc -std=c11 -Wall -Wextra -Wpedantic -Werror header.c $(pkg-config --cflags --libs muntin) -o header
        ./header
        cc -static header.c $(pkg-config --cflags --libs muntin) -o header-static
        ./header-static
        clang -x c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags muntin) header.c
        """)
      let needed = try installed.run("readelf -d lib/libmuntin.so.0")
      #expect(needed.contains("soname: [libmuntin.so.0]"))
      #expect(
        needed.split(separator: "\n").filter { $0.contains("NEEDED") }.allSatisfy { $0.contains("[libc.so.6]") },
        "no dependency beyond libc")
      let symbols = try installed.run("readelf --dyn-syms -W lib/libmuntin.so.0").split(separator: "\n")
      let exported = symbols.filter { !$0.contains(" UND ") && $0.contains(" GLOBAL ") }
      #expect(exported.count > 40 && exported.allSatisfy { $0.contains(" muntin_") && !$0.contains("muntin__") })
    }
  }
}
