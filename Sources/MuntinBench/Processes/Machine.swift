import Glibc
import Platform

/// A real guest: Linux in QEMU, whose shell runs what its serial port is told.
final class Machine {
  /// What machines are made of.
  struct Files {
    let qemu: String, kernel: String, initrd: String
  }

  let program: Program
  private let console: FileDescriptor
  private var unread = ""

  /// What machines are made of whose guests draw in 3D: they have a root file system, and a disk that is an archive of programs.
  struct RenderedFiles {
    let qemu: String, kernel: String, initrd: String, root: String, programs: String
  }

  /// Starts one with a graphics card, and waits until its shell listens. The machines' network is a socket that the one
  /// `listening` makes and the other one connects to.
  convenience init(
    _ files: Files, _ folder: WorkFolder, card: String, network: String, listening: Bool
  ) throws(BenchError) {
    let stream = "stream,id=network,server=\(listening ? "on" : "off"),addr.type=unix,addr.path=\(network)"
    let device = "vhost-user-test-device-pci,chardev=gpu,virtio-id=16,num_vqs=2,config_size=20,vq_size=256"
    try self.init(
      files.qemu, mebibytes: 384, kernel: files.kernel, initrd: files.initrd, folder,
      [
        "-display", "none", "-chardev", "socket,id=gpu,path=\(card)", "-device", device,
        // Large packets: nothing is cut into pieces of 1500 bytes, which takes half as long again.
        "-netdev", stream, "-device", "virtio-net-pci,netdev=network,host_mtu=32768",
      ])
  }

  /// Starts one whose guest draws in 3D, and waits until its shell listens.
  convenience init(
    _ files: RenderedFiles, _ folder: WorkFolder, gpu: [String], environment: [String] = []
  ) throws(BenchError) {
    try self.init(
      files.qemu, mebibytes: 1024, kernel: files.kernel, initrd: files.initrd, folder,
      gpu
        + [files.root, files.programs].flatMap { ["-drive", "file=\($0),format=raw,if=virtio,readonly=on"] },
      environment: environment)
    try run("busybox tar -xf /dev/vdb -C /run/muntin")
  }

  private init(
    _ qemu: String, mebibytes: Int, kernel: String, initrd: String, _ folder: WorkFolder, _ more: [String],
    environment: [String] = []
  ) throws(BenchError) {
    let serial = folder.newPath("serial")
    let arguments = [
      "-machine", "q35,accel=tcg,memory-backend=ram",
      "-object", "memory-backend-memfd,id=ram,size=\(mebibytes)M,share=on",
      "-m", "\(mebibytes)M", "-smp", "1", "-cpu", "max", "-nodefaults",
      "-chardev", "socket,id=serial,path=\(serial),server=on,wait=off", "-serial", "chardev:serial",
      "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
    ]
    program = try Program(qemu, arguments + more, environment: environment, log: folder.newPath("log"))
    console = try Self.connect(serial, program)
    _ = try expect("muntin-guest: ready", seconds: 120)
    try tell("echo 1 >/proc/sys/kernel/printk")
  }

  private static func connect(_ path: String, _ program: Program) throws(BenchError) -> FileDescriptor {
    for _ in 0..<500 {
      if let socket = try? UnixSocket.connect(path: path, kind: .stream) { return socket }
      usleep(10_000)
    }
    throw .program(program.name, "has no console")
  }

  /// Gives the shell a line.
  func tell(_ command: String) throws(BenchError) {
    let bytes = Array("\(command)\n".utf8)
    guard write(console.raw, bytes, bytes.count) == bytes.count else { throw .program(program.name, "does not listen") }
  }

  /// Runs a command to its end.
  func run(_ command: String) throws(BenchError) {
    try tell("\(command); echo finished")
    _ = try expect("finished")
  }

  /// The next line that begins so; those before it are dropped.
  func expect(_ beginning: String, seconds: Int = 30) throws(BenchError) -> String {
    let end = MonotonicTime.now + .seconds(seconds)
    while true {
      while let line = nextLine() {
        if line.hasPrefix(beginning) { return line }
        if line.hasPrefix("error") { throw .program("guest", line) }
      }
      let left = (end - .now).nanoseconds / 1_000_000
      var file = pollfd(fd: console.raw, events: Int16(POLLIN), revents: 0)
      guard left > 0, poll(&file, 1, Int32(left)) > 0 else {
        throw .timedOut("\"\(beginning)\" from a guest, which said: \(unread)")
      }
      try fill()
    }
  }

  private func nextLine() -> String? {
    guard let end = unread.firstIndex(of: "\n") else { return nil }
    defer { unread.removeSubrange(...end) }
    return String(unread[..<end])
  }

  private func fill() throws(BenchError) {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(console.raw, &bytes, bytes.count)
    guard count > 0 else { throw .program(program.name, "ended") }
    unread += String(decoding: bytes[..<count].filter { $0 != 13 }, as: UTF8.self)
  }
}
