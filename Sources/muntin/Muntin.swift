import MuntinCommands

@main
struct Muntin {
  static func main() {
    MuntinCommand.runCommandLine()
  }
}
