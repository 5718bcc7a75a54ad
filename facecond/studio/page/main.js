const root=element.querySelector(".facecond-studio").attachShadow({mode:"open"}); root.innerHTML=MARKUP;
