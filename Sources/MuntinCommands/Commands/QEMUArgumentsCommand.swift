import ArgumentParser
import HubProtocol
import Supervisor

/// `muntin qemu-arguments`.
struct QEMUArgumentsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qemu-arguments",
    abstract: "Prints the QEMU arguments that attach a virtual machine.",
    discussion: """
      Everything stands on one line, quoted for a shell. Put it behind your own arguments, in place of -m, -vga and \
      -display: the back-end maps the guest's memory, so that memory must be shared.

      By default it uses vhost-user-gpu-pci, which every QEMU since 4.1 has. With --generic it uses QEMU 11's \
      vhost-user-test-device-pci, which passes on every feature of the card: changes of the screens' sizes, blobs, and the \
      region for host memory, whose size it asks the card for.

      The machine's socket is looked up in --config FILE, else the hub is asked.

      EXAMPLES
        muntin qemu-arguments alpha --config wall.toml
        eval "qemu-system-x86_64 -hda disk.img $(muntin qemu-arguments alpha)"
      """
  )

  @Argument(help: ArgumentHelp("The virtual machine's name.", valueName: "vm"))
  var machine: String

  @Flag(help: "For vhost-user-test-device-pci (QEMU 11).")
  var generic = false

  @Option(help: ArgumentHelp("The configuration that names the machine.", valueName: "file"))
  var config: String?

  @Option(
    help: ArgumentHelp("The guest's memory. (default: 1G)", valueName: "size"), transform: ArgumentValue.memorySize)
  var memory: MemorySize?

  @OptionGroup var hub: HubOptions

  func run() throws {
    let card = try config.map { try Self.card(machine, in: $0) } ?? card(fromHub: HubClient.connect(hub.path))
    let memory = memory?.description ?? "1G"
    let words = generic ? card.genericArguments(memory: memory) : card.arguments(memory: memory)
    print(words.map(ShellWord.quoted).joined(separator: " "))
  }

  private static func card(_ name: String, in file: String) throws -> AttachedCard {
    let machines = try Configuration(file: file).machines
    guard let machine = machines.first(where: { $0.name == name }) else {
      throw CommandFailure("\(file) has no VM \"\(name)\"; it has \(list(machines.map(\.name)))")
    }
    return AttachedCard(socket: machine.socket, scanoutCount: machine.scanouts.count)
  }

  private func card(fromHub client: ControlClient) throws -> AttachedCard {
    let vms = try client.vms()
    guard let vm = vms.first(where: { $0.name.text == machine }) else {
      throw CommandFailure(
        "the hub at \(hub.path) knows no VM \"\(machine)\"; it knows \(Self.list(vms.map(\.name.text))). "
          + "Start its `muntin gpu`, or give --config FILE")
    }
    guard !vm.socketPath.isEmpty else {
      throw CommandFailure(
        "VM \"\(machine)\" has no socket path: its back-end has not come yet or was given a descriptor; "
          + "give --config FILE")
    }
    return AttachedCard(socket: vm.socketPath, scanoutCount: max(vm.scanouts.count, 1))
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.map { "\"\($0)\"" }.joined(separator: ", ")
  }
}

/// A card as QEMU is told of it.
struct AttachedCard: Equatable {
  var socket: String
  var scanoutCount: Int

  /// For vhost-user-gpu-pci, which tells the guest its own number of outputs.
  func arguments(memory: String) -> [String] {
    let outputs = scanoutCount > 1 ? ",max_outputs=\(scanoutCount)" : ""
    return common(memory) + ["-device", "vhost-user-gpu-pci,chardev=muntin-gpu\(outputs)"]
  }

  /// For vhost-user-test-device-pci: device 16 (GPU) with its two queues and its configuration (VIRTIO 1.3, 5.7).
  func genericArguments(memory: String) -> [String] {
    common(memory) + [
      "-device",
      "vhost-user-test-device-pci,chardev=muntin-gpu,virtio-id=16,num_vqs=2,config_size=20,vq_size=256",
    ]
  }

  private func common(_ memory: String) -> [String] {
    [
      "-m", memory, "-object", "memory-backend-memfd,id=muntin-memory,size=\(memory),share=on",
      "-machine", "memory-backend=muntin-memory", "-vga", "none", "-display", "none",
      "-chardev", "socket,id=muntin-gpu,path=\(Self.escaped(socket))",
    ]
  }

  /// A comma in a value of QEMU's options is written twice.
  private static func escaped(_ value: String) -> String {
    value.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
  }
}

/// Words of a shell's command line.
enum ShellWord {
  static func quoted(_ word: String) -> String {
    if !word.isEmpty && word.utf8.allSatisfy(isPlain) { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: Array("-_./,=:@%+".utf8).contains(byte)
    }
  }
}
