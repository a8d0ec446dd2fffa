// Starts the compiled program: takes the nonce, calls the suite's Main, and writes the nonce when
// that has returned. The assembly comes as a file beside this one.
using System;
using System.IO;
using System.Reflection;
using System.Text;

public static class CodemoeLauncher {
    public static int Main(string[] args) {
        Stream input = Console.OpenStandardInput();
        string nonce = ReadLine(input);
        // Standard output is the result channel; what the program prints goes to the other one.
        Stream result = Console.OpenStandardOutput();
        Console.SetOut(Console.Error);
        Say(result, "S");
        string line;
        try {
            Assembly assembly = Assembly.LoadFrom(args[0]);
            MethodInfo main = assembly.EntryPoint;
            main.Invoke(null, main.GetParameters().Length == 0 ? null : new object[] { new string[0] });
            Console.Error.Flush();
            line = "P " + nonce;
        } catch (TargetInvocationException wrapped) {
            line = Judge(wrapped.InnerException);
        } catch (Exception error) {
            line = Judge(error);
        }
        Say(result, line);
        Environment.Exit(line[0] == 'P' ? 0 : 1);
        return 1;
    }

    private static string ReadLine(Stream input) {
        StringBuilder text = new StringBuilder();
        for (int one = input.ReadByte(); one >= 0 && one != '\n'; one = input.ReadByte()) text.Append((char) one);
        return text.ToString();
    }

    private static void Say(Stream result, string line) {
        byte[] data = Encoding.UTF8.GetBytes(line.Replace('\n', ' ') + "\n");
        result.Write(data, 0, data.Length);
        result.Flush();
    }

    private static string Judge(Exception error) {
        while (error is TypeInitializationException && error.InnerException != null) error = error.InnerException;
        string kind = error is Codemoe.Failed ? "F" : error is OutOfMemoryException ? "O" : "E";
        string text = error.GetType().Name + ": " + error.Message;
        return kind + " " + (text.Length > 600 ? text.Substring(0, 600) : text);
    }
}
