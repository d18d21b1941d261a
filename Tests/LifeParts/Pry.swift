import Buffers
import Glibc
import HubProtocol
import Platform

/// A reader that tries every way to write what it was given for reading, and says of each "can" or "cannot".
final class Pry: ApplicationClientDelegate {
  private let loop: EventLoop
  private let client: ApplicationClient
  private let key: BufferKey
  private var hasAsked = false

  init(hub: String, name: String, buffer: String) throws {
    loop = try EventLoop()
    guard let name = PeerName(name), let id = BufferID(buffer) else { exit(2) }
    client = ApplicationClient(hubPath: hub, name: name, loop: loop)
    key = .id(id)
    client.delegate = self
  }

  func run() throws {
    client.start()
    try loop.run()
  }

  func application(_ client: ApplicationClient, link: HubLinkState) {
    guard case .connected = link, !hasAsked else { return }
    hasAsked = true
    client.acquire(Acquisition(key)) { answer in
      guard case .success(let acquired) = answer else { return say("refused") }
      tryEverything(acquired.descriptor.raw, Int(acquired.info.memory.byteCount))
      say("pried")
    }
  }
}

private func tryEverything(_ raw: Int32, _ count: Int) {
  tryToWrite(raw, count, "the descriptor")
  reopen(raw, count, "again")
  note("chmod", fchmod(raw, 0o666) == 0)
  reopen(raw, count, "after chmod")
}

private func reopen(_ raw: Int32, _ count: Int, _ when: String) {
  for (flags, name) in [(O_RDWR, "O_RDWR"), (O_WRONLY, "O_WRONLY"), (O_RDWR | O_TRUNC, "O_TRUNC")] {
    let opened = open("/proc/self/fd/\(raw)", flags | O_CLOEXEC)
    note("open \(when) \(name)", opened >= 0)
    guard opened >= 0 else { continue }
    tryToWrite(opened, count, "\(name) \(when)")
    close(opened)
  }
}

private func tryToWrite(_ raw: Int32, _ count: Int, _ what: String) {
  var byte: UInt8 = 0xee
  note("write \(what)", pwrite(raw, &byte, 1, 0) == 1)
  note("map \(what)", canMap(raw, PROT_READ | PROT_WRITE) { $0.storeBytes(of: 0xee, as: UInt8.self) })
  note(
    "map and protect \(what)",
    canMap(raw, PROT_READ) {
      guard mprotect($0, SharedMemory.pageSize, PROT_READ | PROT_WRITE) == 0 else { return false }
      $0.storeBytes(of: 0xee, as: UInt8.self)
      return true
    })
  note("remove pages \(what)", canMap(raw, PROT_READ) { madvise($0, SharedMemory.pageSize, 9) == 0 })
  note("punch \(what)", (try? SharedMemory.punch(raw, count: count)) != nil)
  note("shrink \(what)", ftruncate(raw, 0) == 0)
  note("grow \(what)", ftruncate(raw, count * 2) == 0)
  note("seal \(what)", fcntl(raw, 1033, 0x8) == 0)
}

private func canMap(_ raw: Int32, _ protection: Int32, _ body: (UnsafeMutableRawPointer) -> Void) -> Bool {
  canMap(raw, protection) {
    body($0)
    return true
  }
}

private func canMap(_ raw: Int32, _ protection: Int32, _ body: (UnsafeMutableRawPointer) -> Bool) -> Bool {
  guard let mapped = mmap(nil, SharedMemory.pageSize, protection, MAP_SHARED, raw, 0), mapped != MAP_FAILED else {
    return false
  }
  defer { munmap(mapped, SharedMemory.pageSize) }
  return body(mapped)
}

private func note(_ way: String, _ isPossible: Bool) {
  say(isPossible ? "can \(way)" : "cannot \(way)")
}
