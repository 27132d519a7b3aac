// The same job with scs, its sessions in memory, in Go. Arguments: port, page of a user, page of a stranger.
package main

import (
	"html/template"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/alexedwards/scs/v2"
)

type visitor struct{ User, Greet string }

func main() {
	port := os.Args[1]
	user := template.Must(template.ParseFiles(os.Args[2]))
	stranger := template.Must(template.ParseFiles(os.Args[3]))

	sessions := scs.New()
	sessions.Lifetime = 12 * time.Hour
	sessions.IdleTimeout = time.Hour

	routes := http.NewServeMux()
	routes.HandleFunc("GET /{$}", func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Content-Type", "text/html; charset=utf-8")
		name := sessions.GetString(request.Context(), "user")
		page := user
		if name == "" {
			page = stranger
		}
		if err := page.Execute(answer, visitor{name, sessions.GetString(request.Context(), "greet")}); err != nil {
			log.Print(err)
		}
	})
	routes.HandleFunc("POST /add", func(answer http.ResponseWriter, request *http.Request) {
		name := request.PostFormValue("username")
		if err := sessions.RenewToken(request.Context()); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		sessions.Put(request.Context(), "user", name)
		sessions.Put(request.Context(), "greet", "Successfully registered username - "+name+".")
		http.Redirect(answer, request, "/", http.StatusSeeOther)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, sessions.LoadAndSave(routes)))
}
